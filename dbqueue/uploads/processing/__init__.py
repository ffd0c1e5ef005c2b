"""From a pending upload to a stored file and a changed field."""
