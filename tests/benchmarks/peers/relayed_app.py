"""The Celery app of a relay: its workers import it before they set up Django."""

import os

from celery import Celery

app = Celery(broker=os.environ.get("BROKER", "memory://"))
app.conf.task_create_missing_queue_type = "quorum"
