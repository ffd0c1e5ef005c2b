"""What the ORM cannot say of the columns of a job."""

from typing import Any

from django.db.models import CharField, Func


class LastEntry(Func):
    """A key of the last entry of an attempt log, as text; null if there is none."""

    output_field = CharField()

    def __init__(self, expression: Any, key: str, **extra: Any) -> None:
        super().__init__(expression, key=key, **extra)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "left(%(expressions)s -> -1 ->> '%(key)s', 500)"
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        column = "%(expressions)s"
        template = (
            f"CASE WHEN json_valid({column})"
            f" THEN substr(json_extract({column}, '$[#-1].%(key)s'), 1, 500) END"
        )
        return self.as_sql(compiler, connection, template=template, **context)
