"""Tasks that belong to frameworks."""
