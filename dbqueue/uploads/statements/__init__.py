"""The wing's own SQL, by the name of the dialect."""

from dbqueue.uploads.statements import postgresql, sqlite

__all__ = ["WRITE_CHUNK"]

# The id of the upload, the position of the chunk, its bytes.
WRITE_CHUNK = {
    "postgresql": postgresql.WRITE_CHUNK,
    "sqlite": sqlite.WRITE_CHUNK,
}
