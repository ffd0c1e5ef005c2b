"""The Celery app of the tests, as a project has one; the test says which broker."""

import os

from celery import Celery

app = Celery("tests", broker=os.environ.get("DBQUEUE_TEST_BROKER", "memory://"))
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
app.conf.result_backend = None
app.conf.broker_connection_timeout = 2  # a node of RabbitMQ may be cut off
# Its queue is locked for a while by the connection to such a node, and Celery ends.
app.conf.worker_enable_remote_control = False
app.conf.task_create_missing_queue_type = "quorum"  # where there are such, on RabbitMQ

# Nobody listens there.
away = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
