"""Tasks of Django projects."""
