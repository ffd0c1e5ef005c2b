"""What an UPDATE sets a column to that is to stay as the row has it."""

from typing import Any


class AsItIs:
    """The column itself, in the place of a value.

    It is not an expression of Django's, such as F(): save() would read the value of one
    back from the row, by a query of its own on some databases, and have the instance
    forget a file that was assigned to it.
    """

    def __init__(self, field: Any) -> None:
        self._field = field

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[()]]:
        return connection.ops.quote_name(self._field.column), ()
