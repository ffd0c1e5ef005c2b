"""Fields that read whatever is in their column: one damaged row is to hide no other.

They write as Django's do, and migrations know them as these. SQLite keeps any text in
any column, and PostgreSQL has moments that Python has not.
"""

from datetime import datetime
from typing import Any

from django.db import models

from dbqueue.dialects.rows import as_kept
from dbqueue.dialects.sqlite.timestamps import IS_MOMENT

_READABLE = {
    "postgresql": "{0} BETWEEN '0001-01-02' AND '9999-12-30'",
    "sqlite": IS_MOMENT,
}
FAR = "9999-12-31 00:00:00"  # what stands for a moment that cannot be read


class Moment(models.DateTimeField):  # type: ignore[type-arg]  # of the stubs
    def deconstruct(self) -> Any:
        return self.name, "django.db.models.DateTimeField", *super().deconstruct()[2:]

    def get_prep_value(self, value: Any) -> Any:
        # Without USE_TZ, SQLite takes no aware ones.
        return super().get_prep_value(
            as_kept(value) if isinstance(value, datetime) else value
        )

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        if params:
            return sql, params  # an expression, and no column
        is_readable = _READABLE[compiler.connection.vendor].format(sql)
        far = f"CAST('{FAR}' AS timestamptz)"
        if compiler.connection.vendor == "sqlite":
            far = f"'{FAR}'"
        sql = f"CASE WHEN {sql} IS NULL OR {is_readable} THEN {sql} ELSE {far} END"
        return sql, params


class Key(models.UUIDField):  # type: ignore[type-arg]  # as above
    def deconstruct(self) -> Any:
        return self.name, "django.db.models.UUIDField", *super().deconstruct()[2:]

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        if compiler.connection.vendor != "sqlite" or params:
            return sql, params
        is_readable = f"length({sql}) = 32 AND {sql} NOT GLOB '*[^0-9a-fA-F]*'"
        nil = "0" * 32
        return (
            f"CASE WHEN {sql} IS NULL OR {is_readable} THEN {sql} ELSE '{nil}' END",
            params,
        )


class Json(models.JSONField):
    def deconstruct(self) -> Any:
        return self.name, "django.db.models.JSONField", *super().deconstruct()[2:]

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        try:
            return super().from_db_value(value, expression, connection)
        except (TypeError, ValueError, RecursionError):
            return str(value)  # as it stands there
