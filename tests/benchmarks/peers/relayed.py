"""dbqueue whose jobs a relay hands to Celery's workers through RabbitMQ."""

import time
from dataclasses import replace

from tests.benchmarks.peers.django_tasks import enqueue_many
from tests.benchmarks.peers.relayed_app import app

__all__ = ["enqueue_many"]


def one_at_a_time(count):
    """Publish messages as Celery does that waits for the confirm of each."""
    from dbqueue.relay.celery import TASK
    from dbqueue.relay.conformance import example

    messages = [example() for _ in range(count)]
    options = {"confirm_publish": True}
    with app.connection_for_write(transport_options=options) as connection:
        producer = app.amqp.Producer(connection)

        def publish(message):
            app.send_task(
                TASK,
                args=[message.as_json()],
                task_id=message.name,
                queue="relayed",
                expires=message.expires,
                ignore_result=True,
                retry=False,
                producer=producer,
            )

        publish(example())
        return rate(count, lambda: list(map(publish, messages)))


def relay(count, **changes):
    """Publish the messages of a backlog, as `runrelay` does with these options."""
    from dbqueue.relay.conformance import example
    from dbqueue.relay.engines import engines
    from dbqueue.relay.models import Dispatch
    from dbqueue.relay.relay import Relay

    engine = replace(engines()[0], **changes)
    transport = engine.make()
    while any(transport.publish([example()])):
        pass  # RabbitMQ refuses messages while it makes their queue
    transport.close()
    found = rate(count, Relay([engine]).drain)
    confirmed = Dispatch.objects.exclude(confirmed_at=None).count()
    assert confirmed == count, f"{confirmed} of {count} are confirmed"
    return found


def rate(count, function):
    """Return how many of `count` a second the function does."""
    began = time.monotonic()
    function()
    return count / (time.monotonic() - began)
