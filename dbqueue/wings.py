"""The wings, as the core sees them: folders with the same inner names, never named."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any


@cache
def names() -> tuple[str, ...]:
    """Return the wings that dbqueue.apps lists."""
    # Not an import at the top: the app's configuration stands above everything.
    listed: tuple[str, ...] = import_module("dbqueue.apps").WINGS
    return listed


def modules(name: str) -> list[ModuleType]:
    """Import and return the module of this name of each wing that has one.

    What it registers is then there: models, checks, pages of the admin, duties.
    """
    paths = [f"dbqueue.{wing}.{name}" for wing in names()]
    return [import_module(path) for path in paths if find_spec(path) is not None]


def attribute(name: str, wanted: str) -> Any:
    """Return what a wing's module of this name hands on under the wanted name.

    For paths of the core by which they are known: a wing's `public` names are found in
    dbqueue itself. Raises AttributeError.
    """
    if not wanted.startswith("__"):
        for module in modules(name):
            if wanted in module.__all__:
                return getattr(module, wanted)
    owner = "dbqueue" if name == "public" else f"dbqueue.{name}"
    raise AttributeError(f"module {owner!r} has no attribute {wanted!r}")


def listed(name: str) -> list[str]:
    """Return what the wings' modules of this name hand on."""
    return [wanted for module in modules(name) for wanted in module.__all__]
