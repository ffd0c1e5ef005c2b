"""Jobs whose chosen id the history has: they have run, and must not run again."""

import logging
from typing import TYPE_CHECKING
from uuid import UUID

from dbqueue.dialects.columns import ClaimedJob

if TYPE_CHECKING:
    from dbqueue.dialects.base import Dialect

logger = logging.getLogger(__name__)


def without_known(
    dialect: "Dialect", worker_id: UUID, jobs: list[ClaimedJob]
) -> list[ClaimedJob]:
    """Return the claimed jobs but for those that are known, which are removed."""
    known = [job.id for job in jobs if job.is_known]
    if not known:
        return jobs
    dialect.forget_known(worker_id)
    for id in known:
        tell_of_known(id)
    return [job for job in jobs if not job.is_known]


def tell_of_known(id: UUID) -> None:
    """Log that a job was removed: one with its chosen id has ended before."""
    logger.info("Job id=%s has ended before and is not run again", id)


def warn_of_drop(id: UUID) -> None:
    """Log that an outcome was dropped: the history had one of this id before."""
    logger.warning("Job id=%s had ended before: its second outcome was dropped", id)
