"""What tests of limits ask and do."""

from collections import Counter

from dbqueue.limits.facts import Facts
from dbqueue.maintenance.gates import sweep
from dbqueue.models import Job

ALIAS = "default"


def states(**conditions):
    """Return how many jobs are in each state."""
    return Counter(Job.objects.filter(**conditions).values_list("state", flat=True))


def ready():
    """Let in what fits, and return the ids of what is ready, as results have them."""
    sweep(ALIAS)
    return {str(id) for id in Job.objects.ready().values_list("pk", flat=True)}


def worked_off(worker, most=1000):
    """Claim and end one job after the other; return them in this order."""
    done = []
    while len(done) < most:
        sweep(ALIAS)
        claimed = worker.claim()
        if not claimed:
            return done
        worker.finish(claimed[0])
        done += claimed
    return done


def facts(**changes):
    """Return the facts of a lane with a rate of 10 a second, or other ones."""
    values = {
        "key": "paced:",
        "concurrency": None,
        "rate": 10,
        "per": 1.0,
        "burst": 1,
        "is_ordered": False,
        "is_fair": False,
        "of_group": False,
        "spent_until": None,
        "served": "",
        "turn": 0,
        "weight": None,
        "now": 1000.0,
        "used_at": 0.0,
        "size": 0,
        "previous": 0,
        "is_paused": False,
    }
    return Facts(**values | changes)
