"""Hands jobs to engines that run elsewhere, as Celery's workers. The row is the truth.

A relay publishes a message of each job that waits in a queue with an engine. The job
stays READY: the engine's worker claims it when the message reaches it, if that message
still counts.
"""

from dbqueue.relay.messages import Message
from dbqueue.relay.transports import Transport

__all__ = ["Message", "Transport"]
