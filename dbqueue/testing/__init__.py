"""For the tests of projects that enqueue jobs."""

from dbqueue.testing.backends import ImmediateBackend, RecordingBackend
from dbqueue.testing.jobs import arun_jobs, assert_enqueued, enqueued, run_jobs

__all__ = [
    "ImmediateBackend",
    "RecordingBackend",
    "arun_jobs",
    "assert_enqueued",
    "enqueued",
    "run_jobs",
]
