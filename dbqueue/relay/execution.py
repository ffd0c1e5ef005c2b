"""The engine's side: the job of a message is run, if the message still counts."""

import logging
import time
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import Error

from dbqueue import conf, dialects
from dbqueue.backend import backend_of
from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.loading import loaded
from dbqueue.dialects.rows import Outcome, Target
from dbqueue.jobs import expiry
from dbqueue.jobs.refusals import set_aside
from dbqueue.models import Job, Pause
from dbqueue.relay.messages import Message
from dbqueue.relay.models import Dispatch
from dbqueue.relay.tracks import ends, hosting, post, running
from dbqueue.relay.tracks.calling import hand_over
from dbqueue.relay.tracks.hosting import Host, hosted
from dbqueue.relay.tracks.post import STALE
from dbqueue.worker.process import connections

logger = logging.getLogger(__name__)

ENDED = "ended"
# Seconds until a message is published again whose job may not run just now.
LATER = 5.0


def execute(text: str) -> Any:
    """Run the job of a message, and record its end; return the state it is in then.

    With the track "result", it is recorded by the relay, to which the end is replied.
    With "handoff", make its call instead: return what the function returns, and raise
    what it raises.

    "stale" says that nothing was started: the message did not count any more, as the
    job was started by another one, was cancelled or has ended; or it may not run now.
    "ended" says that the job has committed its end itself, or lost its claim. Raises
    ValueError for what is not a message, and the database's errors if the job could not
    be started.
    """
    message = Message.of(text)
    if message.track == "handoff":
        return hand_over(message)
    if message.track == "result":
        return post.run(message)
    backend = backend_of(message.backend)
    with hosted(backend, message.queue) as host:
        job = _start(message, host)
        if job is None:
            logger.info("Message %s started nothing", message.name)
            return STALE
        expired = job.fate is not None
        outcome = expiry.end(job, host.id) if expired else running.run(job, host)
        if outcome is None:
            return ENDED
        _record(job, outcome, host)
        return str(outcome.state)


def leave() -> None:
    """Let go of what this process holds as a worker; the engine ends it."""
    hosting.leave()
    post.leave()


def _start(message: Message, host: Host) -> ClaimedJob | None:
    try:
        return _claim(message, host)
    except Exception as error:
        dialect = dialects.of(host.alias)
        if dialect.refuses(error):  # a row that nobody could run
            set_aside(dialect, UUID(message.id), host.id, error)
            return None
        host.is_doubtful = True  # it may have been the answer to a commit
        connections.drop(host.alias)
        raise


def _claim(message: Message, host: Host) -> ClaimedJob | None:
    """Claim the job for this process, if its message may start it; return it."""
    alias, dialect, id = host.alias, dialects.of(host.alias), UUID(message.id)
    with dialect.one_commit():
        dialect.read_committed()
        rows = Dispatch.objects.using(alias).filter(pk=id, token=UUID(message.token))
        if not list(rows.select_for_update()):
            return None
        if not _may_run(alias, message.queue):
            soon = dialect.clock() + timedelta(seconds=LATER)
            rows.update(token=uuid4(), confirmed_at=None, expires_at=soon)
            return None
        rows._raw_delete(alias)
        jobs = Job.objects.using(alias).ready()
        if not jobs.filter(pk=id, queue_name=message.queue).exists():
            return None
        taken = loaded(dialect, host.id, dialect.take_one(host.id, id))
    return taken[0] if taken else None


def _may_run(alias: str, queue: str) -> bool:
    """Tell whether the queue is neither paused, nor full."""
    if Pause.objects.using(alias).filter(pk=f"queue:{queue}").exists():
        return False
    most = conf.current().queues.get(queue, {}).get("concurrency")
    return most is None or bool(dialects.of(alias).within([Target(queue, most=most)]))


def _record(job: ClaimedJob, outcome: Outcome, host: Host) -> None:
    """Record the end, also if the database is away meanwhile, as long as it is ours."""
    dialect, pause = dialects.of(host.alias), 0.1
    while True:
        try:
            host.notes.flush_if_due(ending=True)
            recorded = dialect.record(host.id, [outcome])
            break
        except Error as error:
            if dialect.refuses(error):
                outcome = host.holder.refuse(job, error)
            elif host.is_lost():
                raise
            connections.drop(host.alias)
            time.sleep(pause)
            pause = min(2.0, pause * 2)
    host.holder.cancelled.pop((job.id, job.attempt), None)
    if not recorded and not host.holder.has_ended(job):
        logger.warning("Claim lost id=%s: its outcome changed 0 rows", job.id)
        return
    ends.tell(host.alias, [(job, outcome)])
