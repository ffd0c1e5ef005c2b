"""A process dies after any single statement of a move; others go on from there.

Each scene is played again and again, with one statement more before the death, until
its move comes to the end.
"""

from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import F

from dbqueue import enqueue_many, jobs, task
from dbqueue.dialects.rows import Outcome
from dbqueue.dialects.scan import Scan
from dbqueue.ids import uuid7
from dbqueue.jobs import insert
from dbqueue.jobs.outcomes import rescued
from dbqueue.maintenance import leases
from dbqueue.maintenance.promote import promote
from dbqueue.maintenance.prune import prune
from dbqueue.maintenance.rescue import held_by, orphans, rescue
from dbqueue.models import FinishedJob, Job, Upload, UploadChunk, Worker
from dbqueue.testing import run_jobs
from dbqueue.uploads import save_file
from dbqueue.worker.loop.completer import Completer
from dbqueue.worker.process.pipes import WakePipe
from tests.gallery.models import Profile
from tests.support import invariants
from tests.support.crash import dies_after
from tests.support.processes import on_demand, thorough
from tests.support.workers import HandWorker
from tests.uploads.test_faults import sweep_when_all_delays_are_over
from tests.uploads.test_uploads import a_file, stored_files

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quiet"),
]

ALIAS = "default"
BIG = bytes(range(256)) * 2500  # three chunks


@task
def leave(key):
    Profile.objects.create(name=key)


@task(max_attempts=1)
def leave_once(key):
    leave.func(key)


@task(atomic=True)
def leave_atomically(key):
    leave.func(key)


@task(takes_context=True)
def leave_when_finishing(context, key):
    with context.finishing():
        leave.func(key)


class Scene:
    """A move; `act` is played in the process that dies, all else by who goes on."""

    def prepare(self):
        """Commit what is there before."""

    def act(self):
        raise NotImplementedError

    def look(self):
        """Assert that what is left of the move is all of it or nothing."""

    def go_on(self):
        """Do what a client does whose call failed."""

    def verify(self):
        """Assert more of the end than that each job ran once."""

    def put(self, *keys, task=leave, queue="default"):
        return [task.using(queue_name=queue).enqueue(key) for key in keys]

    def held(self, *keys, task=leave):
        """Return a new worker and the jobs it has claimed, by key."""
        worker = HandWorker()
        self.put(*keys, task=task)
        jobs = worker.claim(len(keys))
        return worker, jobs


class Claim(Scene):
    def prepare(self):
        self.put("a", "b", queue="x")
        self.put("c", queue="y")
        self.worker = HandWorker("x", "*")

    def act(self):
        self.worker.claim(3)

    def look(self):
        assert Job.objects.filter(state="RUNNING", attempt=1).count() in (0, 2, 3)


class Exchange(Scene):
    def prepare(self):
        self.worker, (a, b, c) = self.held("a", "b", "c")
        self.put("d", "e")
        self.scan = Scan(["*"])  # without low-water marks
        failed = rescued(b.held_by(self.worker.id), "lost")
        failed.state = "FAILED"
        self.outcomes = [ended(a), failed, Outcome(id=c.id, attempt=1, state="READY")]

    def act(self):
        self.worker.dialect.finish_and_claim(
            self.worker.id, self.outcomes, self.scan, 2
        )

    def look(self):
        nothing = {"a": 1, "b": 1, "c": 1, "d": 0, "e": 0}
        everything = {"a": 1, "b": 1, "c": 2, "d": 1, "e": 0}
        assert attempts() in (nothing, everything)
        done = set(FinishedJob.objects.values_list("state", flat=True))
        assert done == ({"SUCCESSFUL", "FAILED"} if attempts() == everything else set())


class Finish(Scene):
    def prepare(self):
        self.worker, self.jobs = self.held("a", "b", "c")

    def act(self):
        self.worker.dialect.record(self.worker.id, list(map(ended, self.jobs)))

    def look(self):
        assert FinishedJob.objects.count() in (0, 3)


class GiveBack(Scene):
    def prepare(self):
        self.worker, (a, b, c) = self.held("a", "b", "c")
        record = rescued(c.held_by(self.worker.id), "lost").record
        self.outcomes = [
            Outcome(id=a.id, attempt=1, state="READY"),
            Outcome(id=b.id, attempt=1, state="READY", delay=60),
            Outcome(id=c.id, attempt=1, state="READY", failed=1, record=record),
        ]

    def act(self):
        self.worker.dialect.record(self.worker.id, self.outcomes)

    def look(self):
        assert Job.objects.filter(state="RUNNING").count() in (0, 3)


class Release(Scene):
    """A worker stops: what ended is settled, the rest given back, its row removed."""

    def prepare(self):
        self.worker, self.jobs = self.held("a", "b", "c")

    def act(self):
        completer = Completer(self.worker.dialect, self.worker.id, WakePipe())
        for job in self.jobs:
            completer.accept(job, None)
        completer.done(self.jobs[0], ended(self.jobs[0]))
        completer.collect()
        completer.release_unfinished({self.jobs[1].id})
        completer.flush()
        leases.retire(ALIAS, self.worker.id)

    def look(self):
        assert Job.objects.filter(state="RUNNING").count() in (0, 3)


class Rescue(Scene):
    def prepare(self):
        self.workers = [
            self.held("a", "b")[0],
            self.held("c", task=leave_once)[0],
        ]
        expire_leases()

    def act(self):
        leases.condemn(ALIAS)
        rescue(ALIAS, orphans(ALIAS))

    def look(self):
        first = Job.objects.filter(worker_id=self.workers[0].id)
        assert first.count() in (0, 2)

    def verify(self):
        assert FinishedJob.objects.get(args=["c"]).state == "FAILED"


class Burial(Scene):
    def prepare(self):
        self.worker, _ = self.held("a", "b")

    def act(self):
        leases.retire(ALIAS, self.worker.id)
        rescue(ALIAS, held_by(ALIAS, self.worker.id))


class Enqueue(Scene):
    """A view writes a row and a job for it."""

    def act(self):
        with transaction.atomic():
            Profile.objects.create(name="row")
            self.put("a")

    def look(self):
        there = Profile.objects.filter(name="row").exists()
        assert Job.objects.exists() == there
        Profile.objects.all().delete()


class EnqueueOnce(Scene):
    def prepare(self):
        self.id = uuid7()

    def act(self):
        leave.using(job_id=self.id).enqueue("a")

    go_on = act

    def verify(self):
        assert FinishedJob.objects.get().pk == self.id


class EnqueueOnceMore(Scene):
    """The job with the id is finished already."""

    def prepare(self):
        self.id = uuid7()
        self.act()
        run_jobs()
        Profile.objects.all().delete()

    def act(self):
        leave.using(job_id=self.id).enqueue("a")

    def look(self):
        assert not Job.objects.exists()


class EnqueueMany(Scene):
    def act(self):
        insert.CHUNK = 2  # this process ends with the scene
        enqueue_many(leave, [("a",), ("b",), ("c",), ("d",), ("e",)])

    def look(self):
        assert Job.objects.count() in (0, 5)


class Promote(Scene):
    def prepare(self):
        soon = leave.using(run_after=timedelta(hours=1))
        enqueue_many(soon, [("a",), ("b",), ("c",)])
        Job.objects.update(run_after=F("run_after") - timedelta(hours=2))

    def act(self):
        while promote(ALIAS, limit=2):
            pass

    def look(self):
        assert Job.objects.filter(state="SCHEDULED").count() in (3, 1, 0)


class Cancel(Scene):
    def prepare(self):
        self.put("a", "b", "c", "d")

    def act(self):
        jobs.filter(task=leave).cancel(batch=3)

    def look(self):
        assert FinishedJob.objects.filter(state="CANCELLED").count() in (4, 3, 0)
        jobs.filter(state="CANCELLED").retry()
        assert set(attempts().values()) == {0}


class Retry(Scene):
    def prepare(self):
        worker, held = self.held("a", "b", "c", "d")
        for job in held:
            record = rescued(job.held_by(worker.id), "lost").record
            worker.finish(job, "FAILED", record=record, failed=1)
        leases.retire(ALIAS, worker.id)

    def act(self):
        jobs.filter(state="FAILED").retry(batch=3)

    def look(self):
        assert Job.objects.filter(failures=0).count() in (4, 3, 0)

    go_on = act


class Prune(Scene):
    def prepare(self):
        self.put("a", "b", "c", "d")
        worker, states = HandWorker(), ["SUCCESSFUL", "CANCELLED"] * 2
        for job, state in zip(worker.claim(4), states, strict=True):
            record = rescued(job.held_by(worker.id), "released").record
            worker.finish(job, state, record=record if state == "CANCELLED" else None)
        leases.retire(ALIAS, worker.id)
        self.put("young")

    def act(self):
        states = ("SUCCESSFUL", "CANCELLED")
        while prune(ALIAS, states=states, older_than=0.0, limit=3):
            pass

    def look(self):
        assert FinishedJob.objects.count() in (4, 2, 1, 0)
        assert Job.objects.get().args == ["young"]


class Work(Scene):
    """Claim, run and finish; two of the jobs commit their effect with their end."""

    def prepare(self):
        for work in (leave, leave_atomically, leave_when_finishing):
            self.put(work.name, task=work)

    def act(self):
        run_jobs()

    def verify(self):
        effects = Counter(Profile.objects.values_list("name", flat=True))
        assert effects["leave_atomically"] == effects["leave_when_finishing"] == 1
        lost = sum(
            entry["reason"] == "lost"
            for entry in FinishedJob.objects.get(args=["leave"]).attempt_log
        )
        assert 1 <= effects["leave"] <= 1 + lost


class SaveFile(Scene):
    """A view saves a row and a file for it."""

    def prepare(self):
        self.profile = Profile.objects.create(name="old")

    def act(self):
        with transaction.atomic():
            Profile.objects.filter(pk=self.profile.pk).update(name="new")
            save_file(a_file(BIG), self.profile)

    def look(self):
        self.profile.refresh_from_db()
        assert self.is_taken() == (self.profile.name == "new")
        self.assert_whole()

    def go_on(self):
        if not self.is_taken():
            self.act()

    def is_taken(self):
        return Upload.objects.filter(state="STORED", size=len(BIG)).exists()

    def assert_whole(self):
        waiting = Upload.objects.filter(state="STORED")
        jobs = waiting.values_list("job_id", flat=True)
        assert Job.objects.filter(pk__in=jobs).count() == waiting.count()
        chunks = sum(upload.chunk_count for upload in waiting)
        assert UploadChunk.objects.count() == chunks

    def verify(self):
        self.profile.refresh_from_db()
        assert self.profile.letter.read() == BIG
        assert not UploadChunk.objects.exists()
        assert not Upload.objects.exclude(state__in=["DONE", "SUPERSEDED"]).exists()
        sweep_when_all_delays_are_over()
        assert stored_files(default_storage) == {self.profile.letter.name}
        self.profile.letter.close()
        default_storage.delete(self.profile.letter.name)


class SaveFileOverAnother(SaveFile):
    """In no transaction but its own, where another file waits."""

    def prepare(self):
        super().prepare()
        save_file(a_file(b"waits"), self.profile)

    def act(self):
        save_file(a_file(BIG), self.profile)

    def look(self):
        assert Upload.objects.filter(state="STORED").count() == 1
        self.assert_whole()


class ProcessUpload(SaveFile):
    """A worker brings a file to a field that has one, which is to be deleted."""

    def prepare(self):
        self.profile = Profile.objects.create(name="new")
        self.profile.letter.save("letter.txt", ContentFile(b"before"))
        save_file(a_file(BIG), self.profile, replaced="delete")

    def act(self):
        run_jobs()

    def look(self):
        self.profile.refresh_from_db()
        with self.profile.letter.open() as file:
            assert file.read() in (b"before", BIG)
        done = Upload.objects.get().state == "DONE"
        assert FinishedJob.objects.filter(state="SUCCESSFUL").exists() == done
        assert UploadChunk.objects.exists() != done

    def go_on(self):
        """The next worker does."""


SCENES = [
    *(Claim, Exchange, Finish, GiveBack, Release, Rescue, Burial),
    *(Enqueue, EnqueueOnce, EnqueueOnceMore, EnqueueMany, Promote, Prune, Work),
    *(Cancel, Retry),
    *(SaveFile, SaveFileOverAnother, ProcessUpload),
]
LONG = (Prune, Work, SaveFile)  # and what derives from it: these take many deaths
# Where jobs run before the death, or are not ours.
RUNNING = (Work, SaveFile, SaveFileOverAnother, ProcessUpload)


def ended(job):
    return Outcome(id=job.id, attempt=job.attempt, state="SUCCESSFUL", result="null")


def attempts():
    rows = (*Job.objects.all(), *FinishedJob.objects.all())
    return {row.args[0]: row.attempt for row in rows}


def expire_leases():
    Worker.objects.update(expires_at=F("expires_at") - timedelta(days=1))


def recover():
    """Do what others do when the leases are over, and run what is left."""
    expire_leases()
    leases.condemn(ALIAS)
    rescue(ALIAS, orphans(ALIAS))
    run_jobs(scheduled=True)


def clear():
    for model in (Job, FinishedJob, Worker, Upload, Profile):
        model.objects.all().delete()


def ids(model):
    return set(model.objects.values_list("pk", flat=True))


class Stage:
    """Plays a scene with a death, and lets others go on from there."""

    def __init__(self, scene, statement):
        clear()
        self.play = scene()
        self.play.prepare()
        self.died = dies_after(statement, self.play.act)
        self.play.look()
        self.play.go_on()
        self._over = ids(FinishedJob)
        self._committed = ids(Job) | self._over

    def verify(self):
        recover()
        invariants.check(committed=self._committed, at_rest=True)
        assert ids(FinishedJob) >= self._committed
        self.play.verify()

    def assert_each_ran_once(self):
        """Assert that what was not over ran once, unless it had no attempt left."""
        ran = Counter(Profile.objects.values_list("name", flat=True))
        rest = FinishedJob.objects.exclude(pk__in=self._over).exclude(state="FAILED")
        assert ran == Counter(job.args[0] for job in rest)


@pytest.fixture(autouse=True)
def media(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path)


@pytest.mark.parametrize(
    "scene",
    [
        pytest.param(scene, marks=on_demand) if issubclass(scene, LONG) else scene
        for scene in SCENES
    ],
    ids=lambda scene: scene.__name__,
)
def test_a_death_after_any_statement_loses_nothing(scene):
    for statement in count(1):
        stage = Stage(scene, statement)

        stage.verify()
        if scene not in RUNNING:
            stage.assert_each_ran_once()
        if not stage.died:
            break
    print(f"{scene.__name__}: {statement - 1} deaths")
    assert statement > 1


@thorough
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_second_death_of_a_process_that_goes_on_loses_nothing_either(scene):
    deaths = 0
    for statement in count(1):
        for second in count(1 + statement % 5, 5):
            stage = Stage(scene, statement)
            died = dies_after(second, recover)

            stage.verify()
            deaths += stage.died + died
            if not died:
                break
        if not stage.died:
            break
    print(f"{scene.__name__}: {deaths} deaths")
