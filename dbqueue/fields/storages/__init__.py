"""Storages to which a file can be sent before its form."""
