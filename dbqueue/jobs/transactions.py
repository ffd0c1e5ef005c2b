"""Which databases are in a transaction, and which hold the project's models."""

from django.apps import apps
from django.db import connections, router


def open_elsewhere(alias: str) -> str | None:
    """Return another alias with an open transaction while this one has none."""
    if connections[alias].in_atomic_block:
        return None
    for connection in connections.all(initialized_only=True):
        if connection.alias != alias and connection.in_atomic_block:
            return connection.alias
    return None


def model_databases() -> set[str]:
    """Return the aliases that the router writes the project's own models to."""
    models = [
        model
        for model in apps.get_models()
        if model._meta.app_label != "dbqueue" and model._meta.managed
    ]
    return {router.db_for_write(model) for model in models}
