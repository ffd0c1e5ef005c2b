"""What is asked of files that are no databases of the project's."""

from typing import NamedTuple


class Sql(NamedTuple):
    read: str
    delete: str


# In the order in which huey's consumer would take them.
HUEY = {
    "task": Sql(
        "SELECT id, data FROM task ORDER BY priority DESC, id",
        "DELETE FROM task WHERE id = ?",
    ),
    "schedule": Sql(
        "SELECT id, data FROM schedule ORDER BY timestamp, id",
        "DELETE FROM schedule WHERE id = ?",
    ),
}
