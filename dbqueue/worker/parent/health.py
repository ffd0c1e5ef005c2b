"""What tells others that a worker is well: a file that is touched."""

import logging
from pathlib import Path

logger = logging.getLogger(__name__)


def show(file: str | None) -> None:
    """Touch the file, if there is to be one."""
    if file is None:
        return
    try:
        Path(file).touch()
    except OSError as error:
        logger.warning("The health file cannot be touched: %s", error)
