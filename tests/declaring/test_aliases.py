import pytest

from dbqueue import enqueue, task
from dbqueue.models import FinishedJob, Job, JobState
from dbqueue.tasks import decorator, registry
from dbqueue.tasks.framework import InvalidTask
from dbqueue.testing import run_jobs
from tests.support import unique_tasks
from tests.support.workers import drain

OLD = ("tests.gone.old_name", "tests.tasks.older_name")


@pytest.fixture
def declaring(monkeypatch):
    """Let a test declare tasks that are gone after it."""
    for name in ("declared_tasks", "declared_aliases"):
        monkeypatch.setattr(decorator, name, dict(getattr(decorator, name)))
    yield
    registry._resolved.clear()


@pytest.mark.parametrize("path", OLD)
def test_an_old_path_leads_to_the_task(path):
    assert registry.resolve(path) is unique_tasks.renamed
    assert registry.in_name(path) is unique_tasks.renamed
    assert registry.as_task(path).module_path.endswith("unique_tasks.renamed")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("path", OLD)
def test_jobs_that_wait_under_an_old_path_run(path):
    result = enqueue(unique_tasks.renamed, 3)
    Job.objects.update(task=path)

    drain()

    result.refresh()
    assert (result.state, result.return_value) == (JobState.SUCCESSFUL, 6)
    assert unique_tasks.renamed.get_result(result.id).return_value == 6
    assert FinishedJob.objects.get().task == path


@pytest.mark.django_db
def test_a_job_may_be_enqueued_by_an_old_path():
    enqueue(OLD[0], 3)

    assert Job.objects.get().task == unique_tasks.renamed.module_path
    assert [result.return_value for result in run_jobs()] == [6]


@pytest.mark.parametrize("given", ["name", "", "app.tasks.", "app.my task", 3, [None]])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(InvalidTask, match="is not a dotted path"):

        @task(aliases=given)
        def declared():
            pass


def test_an_alias_leads_to_one_task(declaring):
    with pytest.raises(InvalidTask, match="leads to one task"):
        task(aliases=OLD[0])(unique_tasks.fail_now_and_then)


def test_an_alias_is_not_the_path_of_another_task(declaring):
    with pytest.raises(InvalidTask, match="leads to one task"):
        task(aliases=unique_tasks.report.module_path)(unique_tasks.fail_now_and_then)


def test_a_task_is_not_declared_at_the_old_path_of_another(declaring):
    def old_name():
        pass

    old_name.__module__ = "tests.gone"
    old_name.__qualname__ = "old_name"

    with pytest.raises(InvalidTask, match="is an alias of"):
        task(old_name)


def test_one_path_need_be_no_list(declaring):
    declared = task(aliases="tests.gone.single")(unique_tasks.fail_now_and_then)

    assert declared.aliases == ("tests.gone.single",)
