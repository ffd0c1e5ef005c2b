"""The modules of tasks, imported before a worker starts."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from traceback import walk_tb
from types import FrameType

from django.core.management.base import CommandError
from django.utils.module_loading import autodiscover_modules

from dbqueue.tasks import registry


def import_tasks() -> None:
    """Import the module `tasks` of each app, and what wings have imported besides.

    Raises CommandError if one exits.
    """
    try:
        with _loggers_kept():
            autodiscover_modules("tasks")
            for import_more in registry.importers:
                import_more()
    except SystemExit as error:
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        modules = [f.f_globals["__name__"] for f in frames if _is_module(f)]
        raise CommandError(
            f"Importing {' and from it '.join(modules)} ended the program, with "
            f"exit({error.code!r}). No module of tasks may do so: remove the call, "
            "or put it below `if __name__ == '__main__':`."
        ) from error


@contextmanager
def _loggers_kept() -> Iterator[None]:
    """Keep the loggers that a second django.setup(), of such a module, would disable.

    Python's dictConfig() does so unless LOGGING says `disable_existing_loggers: False`.
    """
    known = logging.root.manager.loggerDict.values()
    loggers = [each for each in known if isinstance(each, logging.Logger)]
    heard = [each for each in loggers if not each.disabled]
    try:
        yield
    finally:
        for each in heard:
            each.disabled = False


def _is_module(frame: FrameType) -> bool:
    return frame.f_code.co_name == "<module>"
