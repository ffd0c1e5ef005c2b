"""A day in the life of a task queue, as rows, for pictures of the admin's pages."""

import random
from bisect import bisect_left
from datetime import timedelta

from django.utils import timezone

from dbqueue import At, Cron, Every
from dbqueue.dialects.statistics import BOUNDS, BUCKETS, HOUR, MINUTE
from dbqueue.ids import uuid7_at
from dbqueue.models import (
    FinishedJob,
    Job,
    JobFile,
    Lane,
    LimitRule,
    Pause,
    Schedule,
    Statistic,
    Upload,
    Worker,
)
from dbqueue.progress.seeing.tokens import SCOPES, Ticket, sign

TASKS = {  # queue, jobs a minute, seconds of a run, share that fails
    "shop.tasks.send_receipt": ("mail", 42, 0.21, 0.004),
    "people.tasks.send_welcome": ("mail", 9, 0.35, 0.06),
    "shop.tasks.render_invoice": ("pdf", 14, 1.9, 0.01),
    "catalog.tasks.resize_photo": ("images", 21, 0.8, 0.015),
    "search.tasks.reindex_product": ("default", 60, 0.05, 0.002),
    "billing.tasks.charge_card": ("default", 6, 1.2, 0.02),
    "reports.tasks.yearly_report": ("reports", 0.2, 190.0, 0.08),
}
TRACE = """Traceback (most recent call last):
  File "/srv/shop/people/tasks.py", line 41, in send_welcome
    mail.send(fail_silently=False)
    ~~~~~~~~~^^^^^^^^^^^^^^^^^^^^^
  File "/srv/venv/lib/python3.13/site-packages/django/core/mail/message.py", line 332, in send
    return self.get_connection(fail_silently).send_messages([self])
  File "/srv/venv/lib/python3.13/site-packages/django/core/mail/backends/smtp.py", line 128, in send_messages
    new_conn_created = self.open()
  File "/usr/lib/python3.13/smtplib.py", line 255, in __init__
    (code, msg) = self.connect(host, port)
  File "/srv/shop/people/mail.py", line 17, in connect
    raise SMTPServerDisconnected("Connection unexpectedly closed")
smtplib.SMTPServerDisconnected: Connection unexpectedly closed
"""  # noqa: E501
ERRORS = {
    "people.tasks.send_welcome": (
        "smtplib.SMTPServerDisconnected",
        "Connection unexpectedly closed",
    ),
    "billing.tasks.charge_card": (
        "billing.errors.CardDeclined",
        "Card ending in 4242 was declined: insufficient funds",
    ),
    "catalog.tasks.resize_photo": (
        "PIL.UnidentifiedImageError",
        "cannot identify image file 'IMG_2041.heic'",
    ),
    "reports.tasks.yearly_report": (
        "dbqueue.exceptions.TaskTimeout",
        "reports.tasks.yearly_report ran past its timeout of 300 s",
    ),
}
QUEUE_OF = {task: facts[0] for task, facts in TASKS.items()}


def paint(alias="default", seed=7):
    """Write the rows; return keys of those that have a page worth a picture."""
    dice, now = random.Random(seed), timezone.now()
    workers = _workers(alias, now)
    _statistics(alias, dice, now)
    failed = _finished(alias, dice, now, workers)
    running = _unfinished(alias, dice, now, workers)
    Pause.objects.using(alias).create(
        key="queue:images",
        paused_at=now - timedelta(minutes=4),
        paused_by="ada",
        reason="object storage is being moved",
    )
    made = _made(alias, now)
    _uploads(alias, now)
    schedules = _schedules(alias, now)
    _limits(alias, now, running)
    return {
        "failed": str(failed),
        "running": str(running),
        "worker": str(workers[0].pk),
        "schedule": str(schedules[0].pk),
        "waited_for": sign(Ticket(running, "default", SCOPES)),
        "made": sign(Ticket(made, "default", SCOPES)),
    }


def _made(alias, now):
    """Write a job that has ended, and its file."""
    job = _record(random.Random(1), now, "reports.tasks.yearly_report", [Worker()])
    job.save(using=alias)
    later = now + timedelta(days=7)
    JobFile.objects.using(alias).create(
        **{"job_id": job.pk, "attempt": 1, "state": "LIVE", "name": "2026.pdf"},
        **{"storage": "results", "stored_as": "x", "size": 1_204_000},
        **{"content_type": "application/pdf", "expires_at": later},
        purge_after=later,
    )
    return job.pk


def _schedules(alias, now):
    rules = {
        "nightly backup": Cron("30 2 * * *", timezone="Europe/Berlin"),
        "figures of the hour": Every(3600),
        "invoices": Cron("0 6 1 * *", timezone="Europe/Berlin"),
        "newsletter": Cron("0 9 * * tue,thu", timezone="Europe/Paris"),
        "end of the sale": At(now + timedelta(days=9)),
    }
    return [
        Schedule.objects.using(alias).create(
            **{"name": name, "cadence": rule, "enabled": name != "newsletter"},
            **{"task": "people.tasks.reminder", "kwargs": {"text": name}},
        )
        for name, rule in rules.items()
    ]


def _limits(alias, now, running):
    """Write limits, of which one is full, one is by the second, and one was lowered."""
    declared = {"declared_at": now - timedelta(hours=9)}
    LimitRule.objects.using(alias).bulk_create(
        [
            LimitRule(name="user", concurrency=1, **declared),
            LimitRule(name="order", concurrency=1, is_ordered=True, **declared),
            LimitRule(name="stripe", rate=100, per=1.0, burst=20, **declared),
            LimitRule(name="tenant", is_fair=True, **declared),
            LimitRule(
                **{"name": "warehouse", "concurrency": 20, "set_concurrency": 5},
                **{"set_at": now - timedelta(minutes=40), "set_by": "ada"},
                **declared,
            ),
        ]
    )
    moment = now.timestamp()
    lanes = {"user:77": running.hex, "user:1664": "", "order:A-2041": ""}
    Lane.objects.using(alias).bulk_create(
        Lane(key=key, limit_name=key.split(":")[0], held=held, used_at=moment - 96)
        for key, held in lanes.items()
    )
    tenants = ["tenant:acme", "tenant:bolt", "tenant:corp"]
    places = [*list(lanes) * 3, *tenants * 9]
    waiting = []
    for n, lane in enumerate(places):
        at = now - timedelta(minutes=4, seconds=3 * n)
        job = _job("shop.tasks.send_receipt", at, "BLOCKED")
        job.lane, job.fair_group = lane, "tenant" if lane in tenants else ""
        waiting.append(job)
    Job.objects.using(alias).bulk_create(waiting)


def _uploads(alias, now):
    states = ("DONE", "STORED", "FAILED", "REJECTED", "DONE", "DONE")
    Upload.objects.using(alias).bulk_create(
        Upload(
            **{"state": state, "model": "people.Profile", "given_as": "people.Profile"},
            **{"object_pk": str(n), "field_name": "photo", "database": alias},
            **{"is_image": True, "filename": f"IMG_20{40 + n}.jpg"},
            **{"size": 2_400_000 + n * 91_000, "chunk_size": 262_144},
            **{"chunk_count": 10, "created_at": now - timedelta(minutes=3 * n)},
        )
        for n, state in enumerate(states)
    )


def _workers(alias, now):
    rows = []
    hosts = [("web-1", 0), ("web-1", 0), ("web-2", 0), ("batch-1", 1)]
    for n, (host, quiet) in enumerate(hosts):
        rows.append(
            Worker(
                name=f"{host}:{4200 + 10 * (n // 2)}",
                host=host,
                pid=4211 + n,
                queues="mail|default|images" if host != "batch-1" else "pdf,reports",
                started_at=now - timedelta(hours=9, minutes=n),
                last_seen=now - timedelta(seconds=1 + n),
                expires_at=now + timedelta(hours=9),
                memory=(118 + 17 * n) * 1_000_000,
                is_quiet=bool(quiet),
                facts={
                    "python": "3.13.0",
                    "django": "6.1",
                    "dbqueue": "0.1.0",
                    "settings": "shop.settings.production",
                    "threads": 4,
                    "async": 100,
                    "command": 4200 + 10 * (n // 2),
                    "database": "default",
                },
            )
        )
    rows.append(
        Worker(
            name="web-3:3981",
            host="web-3",
            pid=3990,
            queues="*",
            started_at=now - timedelta(hours=20),
            last_seen=now - timedelta(minutes=12),
            expires_at=now - timedelta(minutes=11),
            ended_at=now - timedelta(minutes=11),
            was_lost=True,
            facts={"threads": 4, "async": 100},
        )
    )
    return Worker.everyone.using(alias).bulk_create(rows)[:4]


def _statistics(alias, dice, now):
    rows = []
    for span, count in ((MINUTE, 60), (HOUR, 168)):
        last = int(now.timestamp()) // span * span
        for n in range(count):
            at = timezone.datetime.fromtimestamp(last - span * n, now.tzinfo)
            day = 1.0 if span == MINUTE else 0.35 + 0.65 * (8 <= at.hour <= 20)
            bad_hour = span == MINUTE and 9 <= n <= 24
            for task, (queue, rate, seconds, share) in TASKS.items():
                wave = day * dice.uniform(0.7, 1.3) * (0.4 if bad_hour else 1)
                ended = int(rate * span / 60 * wave)
                share = 0.7 if bad_hour and task in ERRORS else share
                failed = int(ended * share + dice.random() * (share > 0.01))
                row = Statistic(
                    span=span,
                    at=at,
                    queue_name=queue,
                    task=task,
                    succeeded=max(0, ended - failed),
                    failed=failed,
                    retried=failed * 2,
                    seconds=ended * seconds,
                )
                for prefix, mean in (("run", seconds), ("wait", 0.3)):
                    counts = [0] * BUCKETS
                    for _ in range(30):
                        counts[
                            bisect_left(BOUNDS, dice.lognormvariate(0, 0.6) * mean)
                        ] += ended
                    for n_bucket, total in enumerate(counts):
                        setattr(row, f"{prefix}_{n_bucket}", total // 30)
                rows.append(row)
    Statistic.objects.using(alias).bulk_create(rows, batch_size=200)


def _finished(alias, dice, now, workers):
    rows = []
    names = list(TASKS)
    weights = [TASKS[task][1] for task in names]
    for n in range(400):
        task = dice.choices(names, weights)[0]
        rows.append(_record(dice, now - timedelta(seconds=5 * n), task, workers))
    for n in range(70):
        task = dice.choice(list(ERRORS))
        at = now - timedelta(seconds=30 * n + 600 * (n > 30))
        rows.append(_record(dice, at, task, workers, failed=True))
    FinishedJob.objects.using(alias).bulk_create(rows, ignore_conflicts=True)
    return next(row.pk for row in rows[400:] if row.task == "people.tasks.send_welcome")


def _record(dice, at, task, workers, failed=False):
    queue, _, seconds, _ = TASKS[task]
    took = dice.lognormvariate(0, 0.5) * seconds
    began = at - timedelta(seconds=took)
    due = began - timedelta(seconds=dice.lognormvariate(0, 1) * 0.2)
    worker, log = dice.choice(workers), []
    if failed:
        exception, message = ERRORS[task]
        log = [
            {
                "attempt": attempt,
                "worker": str(dice.choice(workers).pk),
                "started_at": (
                    began - timedelta(minutes=4 * (3 - attempt))
                ).isoformat(),
                "ended_at": (
                    began - timedelta(minutes=4 * (3 - attempt), seconds=-took)
                ).isoformat(),
                "reason": "failed",
                "exception": exception,
                "message": message,
                "traceback": TRACE,
            }
            for attempt in (1, 2, 3)
        ]
        due -= timedelta(minutes=9)
    return FinishedJob(
        id=uuid7_at(due.timestamp(), f"{task}{at}{dice.random()}"),
        task=task,
        queue_name=queue,
        backend="default",
        state="FAILED" if failed else "SUCCESSFUL",
        attempt=3 if failed else 1,
        failures=3 if failed else 0,
        max_attempts=3,
        worker_id=worker.pk,
        args=[],
        kwargs={"user_id": dice.randrange(10_000), "language": "en"},
        context={"user": "grace", "request_id": "7f3c91d2"},
        attempt_log=log,
        enqueued_at=due,
        started_at=due + timedelta(seconds=0.2) if failed else began,
        last_attempted_at=began,
        finished_at=at,
        duration=None if failed else took,
        exception=ERRORS[task][0] if failed else None,
        result=None if failed else {"sent": True},
    )


def _unfinished(alias, dice, now, workers):
    rows = []
    for n in range(340):
        task = dice.choice(["catalog.tasks.resize_photo", "shop.tasks.send_receipt"])
        rows.append(_job(task, now - timedelta(seconds=n * 0.7), "READY"))
    for n in range(24):
        before = now - timedelta(hours=1, seconds=n)
        job = _job("people.tasks.send_welcome", before, "SCHEDULED")
        job.run_after = now + timedelta(minutes=3 + 11 * n)
        rows.append(job)
    for n in range(6):
        task = list(TASKS)[n]
        job = _job(task, now - timedelta(seconds=8 * n + 4), "RUNNING")
        job.worker_id, job.attempt = workers[n % 4].pk, 1
        job.started_at = job.last_attempted_at = now - timedelta(seconds=8 * n + 2)
        rows.append(job)
    report = _job("reports.tasks.yearly_report", now - timedelta(minutes=2), "RUNNING")
    report.worker_id, report.attempt = workers[3].pk, 1
    report.started_at = report.last_attempted_at = now - timedelta(seconds=96)
    report.progress = {
        **{"value": 640, "total": 1000, "message": "Adding up August"},
        "seconds_left": 54.0,
    }
    rows.append(report)
    Job.objects.using(alias).bulk_create(rows)
    return report.pk


def _job(task, at, state):
    return Job(
        id=uuid7_at(at.timestamp(), f"{task}{at}"),
        task=task,
        queue_name=QUEUE_OF[task],
        backend="default",
        state=state,
        max_attempts=5,
        args=[],
        kwargs={"user_id": 77},
        context={"user": "grace"},
        enqueued_at=at,
    )
