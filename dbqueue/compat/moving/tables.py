"""Tables of other packages, which need not be installed for them to be read."""

from typing import Any

from django.apps.registry import Apps
from django.db import connections, models


def table(name: str, **fields: Any) -> type[models.Model]:
    """Return a model of the columns that are read, known to nobody else."""
    options = {
        "apps": Apps(),
        "app_label": "dbqueue_moving",
        "db_table": name,
        "managed": False,
    }
    meta = type("Meta", (), options)
    made: type[models.Model] = type(
        "Row", (models.Model,), {"__module__": __name__, "Meta": meta, **fields}
    )
    return made


def is_there(model: type[models.Model], alias: str) -> bool:
    """Tell whether the database has the table."""
    return model._meta.db_table in connections[alias].introspection.table_names()
