"""A project that uses what uWSGI documents; SIDE says whose modules it imports."""
