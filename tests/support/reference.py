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
    lane: str | None = None
    key: str | None = None  # of which no other unfinished job may be
    key_ends: bool = False  # with the first start
    task: str = ""
    expires: float | None = None  # when it is too late to start it
    finished_at: float | None = None

    def is_late(self, now):
        return self.expires is not None and self.expires <= now

    @property
    def holds_key(self):
        """Whether it has its key until it has ended for good."""
        return self.key is not None and not self.key_ends


class Reference:
    def __init__(self):
        self.now = 0.0
        self.jobs, self.history = {}, {}  # by id
        self.places = count()
        self.leases = {}  # when each worker's ends, by id
        self.effects = []  # ids of the jobs whose effect was committed with their end
        self.limits = {}  # how many of each lane may be ready or running
        self.heads = {}  # of ordered lanes: the last that was let in
        self.paused = set()  # "queue:…", "limit:…" and "task:…"
        self.admitted = set()  # queues in which gates have let jobs in, in this step

    # The moves

    def enqueue(self, id, queue, priority, max_attempts, delay, lasts=None, **more):
        """Write the job unless its id or key is taken; tell whether it is new."""
        if lasts is not None:
            more["expires"] = self.now + lasts
        if id in self.jobs or id in self.history or self.stands(more.get("key")):
            return False
        due = self.now + delay
        place = next(self.places)
        job = ModelJob(queue, priority, max_attempts, "SCHEDULED", due, place, **more)
        job.state = "SCHEDULED" if delay else self._entry(job)
        self.jobs[id] = job
        return True

    def stands(self, key):
        """Return the id of the unfinished job that has the key."""
        for id, job in self.jobs.items():
            if key is not None and job.key == key:
                return id
        return None

    def claim(self, worker, limit, search):
        """Take what the search finds first; return (id, attempt) of each in order.

        What it finds of paused tasks is put aside, and counts as found.
        """
        if worker not in self.leases:
            return []
        open_ = {
            id: job
            for id, job in self.ready().items()
            if f"queue:{job.queue}" not in self.paused
        }
        ids = []
        for id in search.find(open_, limit, self.is_task_paused):
            if self.is_task_paused(self.jobs[id]):
                self.jobs[id].state = "PAUSED"
                self._give_up_key(self.jobs[id])
            else:
                ids.append(id)
        for id in ids:
            job = self.jobs[id]
            job.state, job.worker, job.attempt = "RUNNING", worker, job.attempt + 1
            self._give_up_key(job)
        return [(id, self.jobs[id].attempt) for id in ids]

    def record(self, worker, endings):
        """Apply {id: (attempt, ending)}; return the ids whose claim still held."""
        held = {
            id: ending
            for id, (attempt, ending) in endings.items()
            if self.holds(worker, id, attempt)
        }
        lanes = {self.jobs[id].lane for id in held} - {None}
        for id, ending in held.items():
            self.end(id, ending)
        self.open_gates(lanes)
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
        if ending in ("cancelled", "expired"):
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
        """Make the jobs ready; those in lanes, as far as there is room."""
        for id in ids:
            job = self.jobs[id]
            job.state = self._entry(job)
            if job.lane is None:
                self.admitted.add(job.queue)
        self.open_gates({self.jobs[id].lane for id in ids} - {None})

    def expire(self):
        """End what waits and is too late to start."""
        late = [
            id
            for id in self._waiting(list(self.jobs))
            if self.jobs[id].is_late(self.now)
        ]
        for id in late:
            self.jobs[id].reasons.append("expired")
            self._finish(id, "CANCELLED")

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

    def retry(self, ids, moved):
        """Run finished jobs again; of several with one key, the one that was moved."""
        finished = [
            id
            for id in ids
            if id in self.history and (not self.history[id].holds_key or id in moved)
        ]
        for id in finished:
            job = self.history[id]
            assert not (job.holds_key and self.stands(job.key))
            self.jobs[id] = self.history.pop(id)
            if job.state == "SUCCESSFUL":
                job.reasons.append("successful")
            job.state, job.failures, job.finished_at = self._entry(job), 0, None
            job.worker, job.progress, job.asked = None, None, False
            job.expires = None
            self._give_up_key(job)
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

    # Gates, and what shuts them

    def open_gates(self, lanes):
        """Let in what has room, in order."""
        for lane in lanes:
            if f"limit:{lane}" in self.paused:
                continue
            waiting = self._in_order(lane, "BLOCKED")
            if lane not in self.limits:  # an ordered one
                head = self.heads.get(lane)
                first = [head] if head in self.jobs else waiting[:1]
                for id in first:
                    if self.jobs[id].state == "BLOCKED" and self._may_start(id):
                        self._let_in(id)
                        self.heads[lane] = id
                continue
            room = self.limits[lane] - len(self._held(lane))
            for id in [id for id in waiting if self._may_start(id)][: max(room, 0)]:
                self._let_in(id)

    def sweep(self):
        self.open_gates({job.lane for job in self.jobs.values()} - {None})

    def limit(self, lane, most):
        """Change a limit; what is ready beyond it waits again, the last first."""
        self.limits[lane] = most
        beyond = max(0, len(self._held(lane)) - most)
        ready = self._in_order(lane, "READY")
        self._block(ready[len(ready) - min(beyond, len(ready)) :])

    def pause(self, what):
        """Pause a queue, a limit or a task; what is ready in its lanes waits again."""
        self.paused.add(what)
        kind, _, name = what.partition(":")
        self._block(
            id
            for id, job in self.ready().items()
            if job.lane is not None
            and name == {"queue": job.queue, "limit": job.lane, "task": job.task}[kind]
        )

    def resume(self, what):
        self.paused.discard(what)
        for job in self.jobs.values():
            if job.state == "PAUSED" and what == f"task:{job.task}":
                job.state = self._entry(job)

    def is_task_paused(self, job):
        return f"task:{job.task}" in self.paused

    def blocked(self):
        return [id for id, job in self.jobs.items() if job.state == "BLOCKED"]

    def _let_in(self, id):
        self.jobs[id].state = "READY"
        self.admitted.add(self.jobs[id].queue)

    def _block(self, ids):
        for id in list(ids):
            self.jobs[id].state = "BLOCKED"

    def _entry(self, job):
        return "READY" if job.lane is None else "BLOCKED"

    def _may_start(self, id):
        job = self.jobs[id]
        return f"queue:{job.queue}" not in self.paused and not self.is_task_paused(job)

    def _give_up_key(self, job):
        if job.key_ends:
            job.key = None

    def _held(self, lane):
        return self._in_order(lane, "READY") + self._in_order(lane, "RUNNING")

    def _in_order(self, lane, state):
        ids = [
            id
            for id, job in self.jobs.items()
            if (job.lane, job.state) == (lane, state)
        ]
        return sorted(
            ids, key=lambda id: (-self.jobs[id].priority, self.jobs[id].place)
        )

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
        job.state, job.worker = "SCHEDULED" if delay else self._entry(job), None
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
        self._news, self._was_exhausted = set(), False

    def admit(self, queues):
        """Note in which queues gates have let jobs in."""
        self._news |= queues

    def find(self, ready, limit, is_put_aside):
        found = self._in_the_only_queue(ready)[:limit] or self._find(ready, limit)
        self._news, self._was_exhausted = set(), len(found) < limit
        if self._was_exhausted:
            self._marks = {}
        elif self._keeps_marks:
            for id in found:
                if is_put_aside(ready[id]):
                    continue
                self._marks[ready[id].queue] = (ready[id].priority, ready[id].place)
        return found

    def _in_the_only_queue(self, ready):
        """Return the jobs of the queue with news, if nothing else can come first."""
        is_of_all = (list(map(list, self.groups)), list(self.excluded)) == ([["*"]], [])
        if not (is_of_all and self._was_exhausted and len(self._news) == 1):
            return []
        ids = [id for id, job in ready.items() if job.queue in self._news]
        return sorted(ids, key=lambda id: (-ready[id].priority, ready[id].place))

    def _find(self, ready, limit):
        served = {id: job for id, job in ready.items() if self._rank(job) is not None}
        found = self._beyond_the_marks(served)[:limit]
        if len(found) < limit:
            self._marks = {}
            rest = {id: job for id, job in served.items() if id not in found}
            found += self._from_the_start(rest)[: limit - len(found)]
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
