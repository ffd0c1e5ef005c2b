"""The keeper's share in pruning: a batch now and then, so that no delete is long."""

import random

from dbqueue import conf, maintenance
from dbqueue.models import JobState

INTERVAL = 60.0  # seconds between two batches
INTERVAL_BEHIND = 1.0  # seconds, while more is left


def prune_a_batch(alias: str) -> float:
    """Delete some of what is older than DBQUEUE keeps; return the seconds to wait."""
    settings, pruned = conf.current(), 0
    for states, seconds in (
        ((JobState.SUCCESSFUL,), settings.keep_successful),
        ((JobState.FAILED, JobState.CANCELLED), settings.keep_failed),
    ):
        if seconds is not None:
            pruned += maintenance.prune(alias, states=states, older_than=seconds)
    if pruned >= maintenance.PRUNE_BATCH:
        return INTERVAL_BEHIND
    return INTERVAL * random.uniform(0.8, 1.2)
