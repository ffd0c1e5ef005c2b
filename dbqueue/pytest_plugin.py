"""The pytest fixture `dbqueue`; importable before Django is configured."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from dbqueue.tasks.results import JobResult


class Jobs(NamedTuple):
    """What a test does with jobs: the functions of dbqueue.testing."""

    run: "Callable[..., list[JobResult]]"
    enqueued: "Callable[..., list[JobResult]]"
    assert_enqueued: "Callable[..., list[JobResult]]"
    arun: "Callable[..., Awaitable[list[JobResult]]]"


@pytest.fixture
def dbqueue(db: None) -> Jobs:
    """Run and inspect the jobs that the test enqueued, on the test's own database."""
    from dbqueue import testing

    return Jobs(
        run=testing.run_jobs,
        enqueued=testing.enqueued,
        assert_enqueued=testing.assert_enqueued,
        arun=testing.arun_jobs,
    )
