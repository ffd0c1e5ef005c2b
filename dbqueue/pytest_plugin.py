"""The pytest fixture `dbqueue`; importable before Django is configured."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from dbqueue.tasks.results import JobResult


class Jobs:
    """What a test does with jobs; see dbqueue.testing for the arguments."""

    def run(self, **options: Any) -> "list[JobResult]":
        """Run all jobs that are ready; with `scheduled=True`, all that wait."""
        from dbqueue.testing import run_jobs

        return run_jobs(**options)

    def enqueued(self, task: Any = None, **options: Any) -> "list[JobResult]":
        """Return the jobs that wait."""
        from dbqueue.testing import enqueued

        return enqueued(task, **options)

    def assert_enqueued(self, task: Any, **expected: Any) -> "list[JobResult]":
        """Assert that jobs of the task wait, and return them."""
        from dbqueue.testing import assert_enqueued

        return assert_enqueued(task, **expected)


@pytest.fixture
def dbqueue(db: None) -> Jobs:
    """Run and inspect the jobs that the test enqueued, on the test's own database."""
    return Jobs()
