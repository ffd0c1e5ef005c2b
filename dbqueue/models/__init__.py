"""The tables: unfinished jobs, finished ones, and the workers that hold them."""

from typing import Any

from dbqueue import wings
from dbqueue.models.job import FinishedJob, Job, JobRecord, JobState, entries
from dbqueue.models.worker import Worker

__all__ = ["FinishedJob", "Job", "JobRecord", "JobState", "Worker", "entries"]


# A wing's tables are the app's, too, and were always found here.
wings.modules("models")


def __getattr__(name: str) -> Any:
    return wings.attribute("models", name)
