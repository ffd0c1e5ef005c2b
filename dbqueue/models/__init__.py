"""The tables: unfinished jobs, finished ones, and the workers that hold them."""

from dbqueue.models.job import FinishedJob, Job, JobRecord, JobState, entries
from dbqueue.models.worker import Worker

__all__ = ["FinishedJob", "Job", "JobRecord", "JobState", "Worker", "entries"]
