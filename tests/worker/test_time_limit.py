"""time_limit(): a limit for a part of a job, in a real worker."""

from datetime import timedelta

import pytest

from dbqueue import time_limit
from tests.support import worker_tasks as tasks
from tests.support.processes import wait_until_finished

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)


def test_a_part_that_takes_longer_is_stopped_and_a_part_that_does_not_is_over(
    run_worker, effects
):
    run_worker()
    late = tasks.outlast_a_part.enqueue("late", 0.5)
    timely = tasks.keep_to_a_part.enqueue("timely")

    stopped, ended = wait_until_finished(late), wait_until_finished(timely)

    assert stopped.state == "FAILED"
    entry = stopped.attempt_log[-1]
    assert entry["reason"] == "timeout"
    assert "A part of the job ran longer than 0.5 s." in entry["message"]
    assert effects.keys("ended") == ["late", "timely"]
    assert ended.state == "SUCCESSFUL"


@pytest.mark.parametrize("seconds", [0, -1, True, "1", float("inf"), float("nan")])
def test_a_limit_is_a_time(seconds):
    with pytest.raises(ValueError, match="seconds above 0"), time_limit(seconds):
        pass


def test_outside_of_a_worker_nothing_is_limited():
    with time_limit(timedelta(seconds=1)):
        assert True
