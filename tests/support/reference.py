"""What dbqueue must do, in plain Python: the model that test_model.py compares it with.

It knows no database and no dbqueue. Time is in hours and stands still between steps.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import count
from uuid import UUID

HOUR = 1.0
# How long a rescued job waits, if it must: some seconds; no step of time is as short.
PAUSE = HOUR / 2


@dataclass
class ModelJob:
    queue: str
    priority: int
    max_attempts: int
    state: str
    due: float
    place: int  # in the order in which the database took the jobs
    attempt: int = 0
    failures: int = 0
    reasons: list = field(default_factory=list)
    worker: UUID | None = None
    progress: int | None = None
    asked: bool = False  # to stop, while it ran
    finished_at: float | None = None


class Reference:
    def __init__(self):
        self.now = 0.0
        self.jobs, self.history = {}, {}  # by id
        self.places = count()
        self.leases = {}  # when each worker's ends, by id
        self.effects = []  # ids of the jobs whose effect was committed with their end

    # The moves

    def enqueue(self, id, queue, priority, max_attempts, delay):
        """Write the job unless its id is taken; tell whether it is new."""
        if id in self.jobs or id in self.history:
            return False
        state = "SCHEDULED" if delay else "READY"
        due = self.now + delay
        place = next(self.places)
        self.jobs[id] = ModelJob(queue, priority, max_attempts, state, due, place)
        return True

    def claim(self, worker, limit, search):
        """Take what the search finds first; return (id, attempt) of each in order."""
        if worker not in self.leases:
            return []
        ids = search.find(self.ready(), limit)
        for id in ids:
            job = self.jobs[id]
            job.state, job.worker, job.attempt = "RUNNING", worker, job.attempt + 1
        return [(id, self.jobs[id].attempt) for id in ids]

    def record(self, worker, endings):
        """Apply {id: (attempt, ending)}; return the ids whose claim still held."""
        held = {
            id: ending
            for id, (attempt, ending) in endings.items()
            if self.holds(worker, id, attempt)
        }
        for id, ending in held.items():
            self.end(id, ending)
        return set(held)

    def end(self, id, ending):
        job = self.jobs[id]
        if ending == "succeeded":
            return self._finish(id, "SUCCESSFUL")
        if ending == "untouched":
            if job.asked:
                job.reasons.append("cancelled")
            return self._release(id)
        job.reasons.append(ending)
        if ending == "cancelled":
            return self._finish(id, "CANCELLED")
        if ending in ("released", "snoozed"):
            return self._release(id)
        delay = {"failed": HOUR, "timeout": PAUSE, "snoozed an hour": HOUR}.get(ending)
        if ending == "lost" and job.failures:
            delay = PAUSE
        if ending != "snoozed an hour":
            job.failures += 1
        if job.failures >= job.max_attempts:
            return self._finish(id, "FAILED")
        return self._release(id, delay or 0.0)

    def note_progress(self, worker, id, attempt, value):
        if self.holds(worker, id, attempt):
            self.jobs[id].progress = value

    def promote(self, ids):
        for id in ids:
            self.jobs[id].state = "READY"

    def condemn(self):
        expired = self.expired_leases()
        for id in expired:
            del self.leases[id]
        return len(expired)

    # The moves that are asked for from outside; each returns the ids that it moved

    def cancel(self, ids):
        waiting = self._waiting(ids)
        running = [
            id
            for id in ids
            if id in self.jobs and id not in waiting and not self.jobs[id].asked
        ]
        for id in waiting:
            self.jobs[id].reasons.append("cancelled")
            self._finish(id, "CANCELLED")
        for id in running:
            self.jobs[id].asked = True
        return waiting + running

    def retry(self, ids):
        finished = [id for id in ids if id in self.history]
        for id in finished:
            job = self.jobs[id] = self.history.pop(id)
            if job.state == "SUCCESSFUL":
                job.reasons.append("successful")
            job.state, job.failures, job.finished_at = "READY", 0, None
            job.worker, job.progress, job.asked = None, None, False
        return finished

    def discard(self, ids):
        return [id for id in ids if self.history.pop(id, None)]

    def run_now(self, ids):
        scheduled = [
            id for id in self._waiting(ids) if self.jobs[id].state == "SCHEDULED"
        ]
        for id in scheduled:
            self._release(id)
        return scheduled

    def reschedule(self, ids, delay):
        waiting = self._waiting(ids)
        for id in waiting:
            self._release(id, delay.total_seconds() / 3600)
        return waiting

    def move_to(self, ids, queue):
        waiting = self._waiting(ids)
        for id in waiting:
            self.jobs[id].queue = queue
        return waiting

    def set_priority(self, ids, priority):
        waiting = self._waiting(ids)
        for id in waiting:
            self.jobs[id].priority = priority
        return waiting

    def _waiting(self, ids):
        return [id for id in ids if id in self.jobs and self.jobs[id].worker is None]

    # The questions

    def holds(self, worker, id, attempt):
        job = self.jobs.get(id)
        return job is not None and (job.worker, job.attempt) == (worker, attempt)

    def held_by(self, worker):
        return {id for id, job in self.jobs.items() if job.worker == worker}

    def ready(self):
        return {id: job for id, job in self.jobs.items() if job.state == "READY"}

    def due(self):
        """Return when each job was due that may be promoted now."""
        return {
            id: job.due
            for id, job in self.jobs.items()
            if job.state == "SCHEDULED" and job.due <= self.now
        }

    def expired_leases(self):
        return [id for id, end in self.leases.items() if end <= self.now]

    def orphans(self):
        return {
            id
            for id, job in self.jobs.items()
            if job.worker is not None and job.worker not in self.leases
        }

    def expired(self, state, age):
        """Return when each finished job of the state ended that may be pruned."""
        return {
            id: job.finished_at
            for id, job in self.history.items()
            if job.state == state and job.finished_at + age <= self.now
        }

    def _release(self, id, delay=0.0):
        job = self.jobs[id]
        if job.asked:
            return self._finish(id, "CANCELLED")
        job.state, job.worker = "SCHEDULED" if delay else "READY", None
        job.due = self.now + delay

    def _finish(self, id, state):
        job = self.history[id] = self.jobs.pop(id)
        job.state, job.finished_at = state, self.now


class Search:
    """The order in which one worker takes jobs, and how far it has come.

    `groups` are lists of patterns. An earlier group is emptied first; within a group
    the highest priority goes first, then what was enqueued first. With `marks`, a claim
    goes on where the last one ended, for as long as that finds enough.
    """

    def __init__(self, groups, excluded, *, marks):
        self.groups, self.excluded = groups, excluded
        self._keeps_marks = marks
        self._marks = {}

    def find(self, ready, limit):
        served = {id: job for id, job in ready.items() if self._rank(job) is not None}
        found = self._beyond_the_marks(served)[:limit]
        if len(found) < limit:
            self._marks = {}
            rest = {id: job for id, job in served.items() if id not in found}
            found += self._from_the_start(rest)[: limit - len(found)]
        if len(found) < limit:
            self._marks = {}
        elif self._keeps_marks:
            for id in found:
                self._marks[ready[id].queue] = (ready[id].priority, ready[id].place)
        return found

    def _beyond_the_marks(self, jobs):
        return [
            id
            for queue, (priority, last) in self._marks.items()
            for id, job in sorted(jobs.items(), key=lambda item: item[1].place)
            if (job.queue, job.priority) == (queue, priority) and job.place > last
        ]

    def _from_the_start(self, jobs):
        heads = {}  # the place of each queue: that of its first job
        for job in jobs.values():
            place = (self._rank(job), -job.priority, job.place)
            heads[job.queue] = min(heads.get(job.queue, place), place)
        ranks = [head[0] for head in heads.values()]
        found = [
            (heads[job.queue], -job.priority, job.place, id)
            for id, job in jobs.items()
            # Beside others of its group, a queue gives its best priority alone.
            if ranks.count(self._rank(job)) == 1 or -job.priority == heads[job.queue][1]
        ]
        return [id for *_, id in sorted(found)]

    def _rank(self, job):
        if any(fnmatchcase(job.queue, pattern) for pattern in self.excluded):
            return None
        for rank, patterns in enumerate(self.groups):
            if any(fnmatchcase(job.queue, pattern) for pattern in patterns):
                return rank
        return None
