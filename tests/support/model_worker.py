"""A worker for test_model.py, and jobs that do what the next order says."""

from dbqueue import Cancel, Limit, Retry, Unique, dialects, task
from dbqueue.backend import DatabaseBackend
from dbqueue.dialects.scan import Scan
from dbqueue.ids import uuid7
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.process.pipes import WakePipe
from dbqueue.worker.run.attempt import Attempt
from dbqueue.worker.run.holder import Holder
from tests.gallery.models import Profile
from tests.support.reference import Search

ALIAS = "default"
LANE, LINE = "model lane", "model line"  # limits, each of one lane
# What a job may do, and what its attempt then comes to.
PLAIN = (
    "succeeded",
    "failed",
    "snoozed",
    "snoozed an hour",
    "cancelled",
    "timeout",
    "untouched",
)
FINISHING = ("finishing", "finishing and failed", "failed in finishing")
ORDERS = PLAIN + FINISHING

# What the next job is to do.
orders = []


@task(takes_context=True, max_attempts=3, backoff=3600)
def obey(context):
    return obeyed(context)


@task(takes_context=True, max_attempts=1)
def obey_once(context):
    return obeyed(context)


@task(takes_context=True, max_attempts=2, backoff=3600, atomic=True)
def obey_atomically(context):
    leave_effect(context)
    return obeyed(context)


@task(
    takes_context=True, max_attempts=3, backoff=3600, limit=Limit(LANE, concurrency=2)
)
def obey_in_a_lane(context):
    return obeyed(context)


@task(takes_context=True, max_attempts=3, backoff=3600, limit=Limit(LINE, ordered=True))
def obey_in_line(context):
    return obeyed(context)


@task(takes_context=True, max_attempts=3, backoff=3600, unique=Unique(key=[]))
def obey_alone(context):
    return obeyed(context)


@task(
    takes_context=True,
    max_attempts=2,
    unique=Unique(key=[], until="started"),
    limit=Limit(LANE, concurrency=2),
)
def obey_until_started(context):
    return obeyed(context)


def obeyed(context):
    order = orders.pop()
    if order in FINISHING:
        with context.finishing(context.task_result.attempt):
            leave_effect(context)
            if order == "failed in finishing":
                raise ValueError(order)
    if "failed" in order:
        raise ValueError(order)
    if order == "cancelled":
        raise Cancel
    if "snoozed" in order:
        raise Retry(after=3600 if "hour" in order else 0)
    return context.task_result.attempt


def leave_effect(context):
    Profile.objects.bulk_create([Profile(name=context.task_result.id)])


def no_progress(worker_id, notes):
    raise AssertionError("no order makes progress")


class Hand:
    """A worker whose jobs run when the machine says so."""

    pipe = WakePipe()

    def __init__(self, groups, excluded):
        self.id = uuid7()
        self.served = groups, excluded
        self.running = []
        self.ended = {}  # {id: (attempt, ending)}, not recorded yet
        self.outcomes = {}
        self.in_trouble = False
        self.dialect = dialects.of(ALIAS)
        self.completer = Completer(self.dialect, self.id, self.pipe)
        self.holder = Holder(
            worker_id=self.id,
            database=ALIAS,
            sender=DatabaseBackend,
            record_now=self.dialect.record,
            note=no_progress,
            reraise=(AssertionError,),
        )
        self.forget_marks()

    def forget_marks(self):
        """Forget the low-water marks, as a worker does every quarter second."""
        self.scan = self.new_scan()
        self.search = Search(*self.served, marks=self.dialect.low_water)

    def new_scan(self):
        return Scan(*self.served)

    def new_search(self):
        return Search(*self.served, marks=False)

    def end(self, job, ending, outcome):
        self.ended[job.id] = (job.attempt, ending)
        self.outcomes[job.id] = outcome
        self.completer.done(job, outcome)
        self.completer.collect()

    def drop(self, job):
        """Forget a job that ended in its own commit or was lost."""
        self.completer.done(job, None)
        self.completer.collect()

    def known(self):
        """Return (id, attempt) of the jobs that this worker believes to hold."""
        running = {(job.id, job.attempt) for job in self.running}
        return running | {(id, attempt) for id, (attempt, _) in self.ended.items()}

    def run(self, job, task):
        return Attempt(job, task, self.holder).run_to_end()
