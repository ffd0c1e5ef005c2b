"""The transport to Celery, with a fault."""

import os
import signal

from dbqueue.relay.celery import CeleryTransport


class DiesBeforePublish(CeleryTransport):
    """Kills its process instead."""

    def publish(self, messages):
        os.kill(os.getpid(), signal.SIGKILL)


class DiesAfterPublish(CeleryTransport):
    """Kills its process when the broker has the messages, before anybody knows."""

    def publish(self, messages):
        assert not any(super().publish(messages))
        os.kill(os.getpid(), signal.SIGKILL)


class ThriceTransport(CeleryTransport):
    """Publishes each message three times."""

    def publish(self, messages):
        return [super(ThriceTransport, self).publish([m] * 3)[0] for m in messages]
