"""The tables: unfinished jobs, finished ones, workers that hold them, and uploads."""

from dbqueue.models.job import FinishedJob, Job, JobRecord, JobState, entries
from dbqueue.models.upload import (
    ENDED,
    HOLDING_BYTES,
    ArtifactState,
    Upload,
    UploadArtifact,
    UploadChunk,
    UploadState,
)
from dbqueue.models.worker import Worker

__all__ = [
    "ENDED",
    "HOLDING_BYTES",
    "ArtifactState",
    "FinishedJob",
    "Job",
    "JobRecord",
    "JobState",
    "Upload",
    "UploadArtifact",
    "UploadChunk",
    "UploadState",
    "Worker",
    "entries",
]
