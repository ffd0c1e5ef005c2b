"""Chores: what other parts of dbqueue have every keeper look after, once a minute."""

import logging
import random
from collections.abc import Callable

from django.db import InterfaceError, OperationalError

logger = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds
Chore = Callable[[str], object]

_chores: list[Chore] = []


def register(chore: Chore) -> None:
    """Have each keeper call the function with the alias of its database.

    Heartbeats wait for it: it looks, and enqueues a job for what there is to do.
    """
    if chore not in _chores:
        _chores.append(chore)


def do(alias: str) -> float:
    """Call every chore; return the seconds to wait before the next time."""
    for chore in _chores:
        try:
            chore(alias)
        except (InterfaceError, OperationalError) as error:  # such as a restart
            logger.warning("A chore was cut short name=%s: %s", chore.__name__, error)
        except Exception:  # whatever is wrong with it, heartbeats go on
            logger.exception("A chore failed name=%s", chore.__name__)
    return INTERVAL * random.uniform(0.8, 1.2)
