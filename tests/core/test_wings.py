"""What a wing may add to the core, and that the core names none."""

import subprocess
import sys
from types import ModuleType

import pytest

import dbqueue
from dbqueue import apps, enqueue, exceptions, models, status, task, wings
from dbqueue.dialects import hooks
from dbqueue.models import FinishedJob, Job
from dbqueue.testing import run_jobs
from dbqueue.worker.run import pools
from tests import tasks
from tests.support.workers import drain


@pytest.fixture
def wing(monkeypatch):
    """Return a function that gives a new wing a module with the names."""
    package = ModuleType("dbqueue.feathers")
    package.__path__ = []
    monkeypatch.setitem(sys.modules, "dbqueue.feathers", package)
    monkeypatch.setattr(apps, "WINGS", (*apps.WINGS, "feathers"))
    wings.names.cache_clear()

    def add(name, **values):
        module = ModuleType(f"dbqueue.feathers.{name}")
        module.__spec__ = sys.modules["dbqueue.wings"].__spec__
        vars(module).update(values, __all__=list(values))
        monkeypatch.setitem(sys.modules, module.__name__, module)

    yield add
    wings.names.cache_clear()


@pytest.mark.parametrize(
    ("module", "home"),
    [("public", dbqueue), ("exceptions", exceptions), ("models", models)],
)
def test_a_name_of_a_wing_is_found_in_the_core(wing, module, home):
    class Feather: ...

    wing(module, Feather=Feather)

    assert home.Feather is Feather


def test_all_public_names_come_with_a_star_and_are_listed(wing):
    wing("public", Feather=object)
    names = {}

    exec("from dbqueue import *", names)

    wanted = {"enqueue", "task", "Limit", "Fair", "Cron", "schedule", "Feather"}
    assert wanted <= names.keys()
    assert {name for name in names if name != "__builtins__"} == {*dbqueue.__all__}
    assert {*dbqueue.__all__} <= {*dir(dbqueue)}


def test_an_option_of_a_wing_is_taken_by_the_decorator(wing):
    got = []
    wing("options", OPTIONS={"feathers": lambda task, value: got.append((task, value))})

    made = task(feathers=3, priority=0)(tasks.noop.func)

    assert got == [(made, 3)]
    assert made == tasks.noop
    with pytest.raises(TypeError, match=r"no option 'feather'.*'feathers'"):
        task(feather=3)(tasks.noop.func)


@pytest.mark.django_db
def test_a_wing_says_why_a_job_waits(monkeypatch):
    enqueue(tasks.noop)
    job = Job.objects.get()
    assert "No live worker takes the queue 'default'" in status.reason(job)

    monkeypatch.setattr(status, "reasons", [lambda job: None, lambda job: "Paused."])

    assert status.reason(job) == "Paused."


@pytest.mark.django_db
def test_a_gate_of_a_wing_is_asked_before_each_claim(monkeypatch):
    for queue in ("open", "closed"):
        enqueue(tasks.noop.using(queue_name=queue))

    def gate(alias, targets):
        assert alias == "default"
        return [target for target in targets if target.queue == "open"]

    monkeypatch.setattr(hooks, "before_claim", [gate])
    run_jobs()

    assert Job.objects.get().queue_name == "closed"
    assert FinishedJob.objects.get().queue_name == "open"


@pytest.mark.django_db(transaction=True)
def test_work_of_a_wing_is_in_the_commit_that_records_an_end(worker, monkeypatch):
    result = enqueue(tasks.noop)
    (job,) = worker.claim()
    seen = []

    def work(alias, outcomes):
        seen.extend((alias, str(outcome.id), outcome.state) for outcome in outcomes)
        enqueue(tasks.add, 1, 2)
        if len(seen) == 1:
            raise ZeroDivisionError

    monkeypatch.setattr(hooks, "after_record", [work])
    with pytest.raises(ZeroDivisionError):
        worker.finish(job)
    assert Job.objects.get().state == "RUNNING"

    assert worker.finish(job)

    assert seen == [("default", result.id, "SUCCESSFUL")] * 2
    assert Job.objects.get().task == "tests.tasks.add"
    assert not worker.finish(job)
    assert len(seen) == 2, "a claim that is lost is no end"


@pytest.mark.django_db(transaction=True)
def test_a_wing_may_choose_the_pool_of_a_task(monkeypatch):
    chosen = []

    def choose(ours, task):
        chosen.append(task.module_path)
        return ours.threads

    monkeypatch.setattr(pools, "choices", [choose])
    enqueue(tasks.noop)

    drain()

    assert chosen == ["tests.tasks.noop"]
    assert FinishedJob.objects.get().state == "SUCCESSFUL"


def test_the_tables_of_the_wings_are_there_under_a_plain_app_configuration():
    program = """
import django
from django.apps import AppConfig, apps
from django.conf import settings

class Plain(AppConfig):
    name = "dbqueue"

settings.configure(INSTALLED_APPS=["__main__.Plain"])
django.setup()
apps.get_model("dbqueue", "Upload")
"""
    subprocess.run([sys.executable, "-c", program], check=True)
