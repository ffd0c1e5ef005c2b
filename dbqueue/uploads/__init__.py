"""Uploads that wait in the database until a worker has made them safe and saved."""
