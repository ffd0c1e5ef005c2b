"""The track "handoff": the job ends once the engine has its message for sure."""

from collections.abc import Sequence
from functools import partial

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.dialects.rows import Outcome
from dbqueue.jobs import events, outcomes
from dbqueue.jobs.results import finished_result
from dbqueue.jobs.retention import keep_of
from dbqueue.models import Job
from dbqueue.relay.tracks import ends, starts
from dbqueue.relay.tracks.far import FarTrack
from dbqueue.relay.tracks.rows import Pair


class HandoffTrack(FarTrack):
    """An outbox: what the engine has confirmed is its own from then on."""

    def confirm(self, sent: Sequence[Pair]) -> None:
        jobs_sent, tokens = zip(*sent, strict=True)
        with self.dialect.one_commit():
            self.dialect.read_committed()
            rows = self.rows.filter(pk__in=jobs_sent, token__in=tokens)
            locked = rows.select_for_update().order_by("pk")
            ids = list(locked.values_list("pk", flat=True))
            rows._raw_delete(self.alias)
            jobs = Job.objects.using(self.alias).filter(pk__in=ids)
            ours = jobs.filter(queue_name=self.engine.queue)
            handed = [
                (job, _outcome(job)) for job in starts.start(ours, self.worker_id)
            ]
            self.dialect.record(self.worker_id, [outcome for _, outcome in handed])
        for job, outcome in handed:
            events.ended(job, self.worker_id, outcome)
            events.finished(partial(finished_result, self.alias, job.id))
        ends.tell(self.alias, handed)


def _outcome(job: ClaimedJob) -> Outcome:
    outcome = outcomes.succeeded(job, "null", 0.0)
    outcome.duration = None  # nobody knows how long it runs
    outcome.keep = keep_of(job.task, job.queue_name, job.backend)
    return outcome
