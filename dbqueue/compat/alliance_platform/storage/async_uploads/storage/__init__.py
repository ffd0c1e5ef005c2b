"""Storages to which files are sent before their form: base, filesystem, s3, azure."""
