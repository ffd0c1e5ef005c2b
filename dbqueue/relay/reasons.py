"""Why a job in a queue with an engine is not running, in words."""

from django.utils.translation import gettext as _

from dbqueue.dialects.scan import Scan
from dbqueue.models import Job, JobState, Worker
from dbqueue.relay import claiming
from dbqueue.relay.models import Dispatch


def of_dispatched(job: Job) -> str | None:
    """Say where the message of a READY job is; None if its queue has no engine."""
    alias = str(job._state.db)
    if job.state != JobState.READY or job.queue_name not in claiming.taken.get(
        alias, ()
    ):
        return None
    queue = repr(job.queue_name)
    sent = Dispatch.objects.using(alias).filter(pk=job.pk).first()
    if sent is not None and sent.confirmed_at is not None:
        said = _(
            "Its message number %(number)d waits in the engine of the queue %(queue)s."
        )
        return said % {"number": sent.number, "queue": queue}
    if sent is not None and sent.refusal:
        said = _(
            "The engine of the queue %(queue)s does not take its message, and the "
            "relay tries again later: %(why)s"
        )
        return said % {"queue": queue, "why": sent.refusal}
    if not _has_relay(alias, job.queue_name):
        return _(
            "No relay hands the queue %(queue)s to its engine. Start: manage.py "
            "runrelay"
        ) % {"queue": queue}
    said = _("The relay has not handed it to the engine of the queue %(queue)s yet.")
    return said % {"queue": queue}


def _has_relay(alias: str, queue: str) -> bool:
    alive = Worker.objects.using(alias).alive().filter(facts__kind="relay")
    served = alive.values_list("queues", flat=True)
    return any(Scan.of(queues).rank(queue) is not None for queues in served)
