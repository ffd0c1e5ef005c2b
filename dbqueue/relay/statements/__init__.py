"""The wing's own SQL, by the name of the dialect."""

from types import ModuleType

from dbqueue.relay.statements import postgresql, sqlite

__all__ = ["of"]

_MODULES = {"postgresql": postgresql, "sqlite": sqlite}


def of(name: str) -> ModuleType:
    """Return the statements for the dialect."""
    return _MODULES[name]
