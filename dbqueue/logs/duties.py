"""What every keeper repeats for the lines of jobs."""

from dbqueue.logs import store
from dbqueue.maintenance import duties

duties.register(600.0, store.forget_orphans)
