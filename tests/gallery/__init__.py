"""An app with files in its models, as a project would have it."""
