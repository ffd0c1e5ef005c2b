"""Waits for what send.py has sent, and prints what became of it."""

import json
import time

from django.conf import settings
from django_q.brokers import get_broker
from django_q.models import Schedule, Task
from django_q.scheduler import scheduler
from django_q.status import Stat
from django_q.tasks import count_group, fetch, result_group

PATIENCE = 60_000  # milliseconds

# A cluster does the same, every half minute.
scheduler()
words = result_group("words", count=2, wait=PATIENCE)
chained = result_group("chained", count=2, wait=PATIENCE)
bad = fetch("bad", wait=PATIENCE)
once = result_group("once", count=1, wait=PATIENCE)
hourly = result_group("hourly", count=1, wait=PATIENCE)
ends_at = time.monotonic() + (60 if "broker_class" in settings.Q_CLUSTER else 3)
while not (clusters := Stat.get_all()) and time.monotonic() < ends_at:
    time.sleep(0.05)
print(
    json.dumps(
        {
            "words": sorted(words),
            "chained": sorted(chained),
            "bad": [bad.success, "ValueError: bad" in bad.result],
            "once": list(once),
            "hourly": list(hourly),
            "undone": Task.objects.filter(name="undone").count(),
            "counted": count_group("words"),
            "schedules": list(Schedule.objects.values_list("name", flat=True)),
            "hooked": sorted((settings.VAR / "hooked").read_text().split("\n"))[1:],
            "clusters": len(clusters),
            "locked": get_broker().lock_size(),
        }
    )
)
