"""get_task_logger()."""

import logging


def get_task_logger(name: str) -> logging.Logger:
    """Return the logger of that name; dbqueue.JobFilter adds the job to its lines."""
    return logging.getLogger(name)
