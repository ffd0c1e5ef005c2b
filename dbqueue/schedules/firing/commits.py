"""The commit that moves schedules to their next ticks and inserts the jobs of these."""

from collections.abc import Sequence
from uuid import UUID

from django.utils import timezone

from dbqueue import dialects
from dbqueue.jobs import moves, wakeup
from dbqueue.schedules import store
from dbqueue.schedules.firing.changes import Change
from dbqueue.schedules.statements import MOVE

# The ids of the rows that were moved, and what is to be announced.
Done = tuple[set[UUID], set[str]]


def commit(alias: str, changes: Sequence[Change]) -> Done:
    """Make the changes whose rows are still where they were, in one commit.

    What the database refuses is left out, and its row says why.
    """
    try:
        return _commit(alias, changes)
    except Exception as error:
        if not dialects.of(alias).refuses(error):
            raise
    moved, news = set[UUID](), set[str]()
    for change in changes:
        try:
            some, told = _commit(alias, [change])
        except Exception as error:
            if not dialects.of(alias).refuses(error):
                raise
            now = store.now(alias)
            change.leave_out(error, store.writer(alias), change.step, now)
            some, told = _commit(alias, [change])
        moved, news = moved | some, news | told
    return moved, news


def _commit(alias: str, changes: Sequence[Change]) -> Done:
    dialect = dialects.of(alias)
    rows = f"[{','.join(change.moved for change in changes)}]"
    with dialect.one_commit():
        # Once it is ours to write: a moment from before a wait would be past.
        values = {"rows": rows, "now": store.writer(alias)(timezone.now())}
        found = dialect.ask(MOVE[dialect.name], values)
        moved = {id if isinstance(id, UUID) else UUID(id) for (id,) in found}
        mine = [change for change in changes if change.row.pk in moved]
        for change in mine:
            if change.step.cancels and change.row.last_job_id:
                moves.cancel(alias, [change.row.last_job_id])
        news = _insert(dialect, mine)
    return moved, news


def _insert(dialect: dialects.Dialect, changes: Sequence[Change]) -> set[str]:
    """Insert the jobs, and return what is to be announced of them."""
    plain = [text for change in changes for text in change.inserted]
    if plain:
        dialect.insert_due(plain)
    news = set[str]()
    for change in changes:
        for job in change.jobs:
            if not job.more:
                news.add(job.queue_name)
            elif (written := dialect.insert(job, once=True)) is not None:
                news |= {*wakeup.news(job, written)}
    return news
