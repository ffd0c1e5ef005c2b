"""Celery's signals. Receivers are called as there; what they raise is logged."""

import logging
from collections.abc import Callable
from typing import Any

from django import dispatch

logger = logging.getLogger(__name__)


class Signal(dispatch.Signal):
    """A signal whose connect() is a decorator, too, and whose senders may be names."""

    def __init__(self, name: str, *, is_sent: bool = True) -> None:
        super().__init__()
        self.name = name
        self.is_sent = is_sent

    def __repr__(self) -> str:
        return f"<Signal: {self.name}>"

    def connect(self, *receivers: Any, **how: Any) -> Any:
        """Connect a receiver; without one, return a decorator.

        `sender` is a task, or the name of one; `weak` and `dispatch_uid` are as in
        Django.
        """
        how.pop("retry", None)
        if not self.is_sent:
            logger.warning("dbqueue.compat.celery never sends %s", self.name)
        if not receivers:
            return lambda receiver: self.connect(receiver, **how)
        (receiver,) = receivers
        super().connect(receiver, sender=_same(how.pop("sender", None)), **how)
        return receiver

    def disconnect(
        self,
        receiver: Any = None,
        sender: Any = None,
        dispatch_uid: Any = None,
        **ignored: Any,
    ) -> bool:
        return super().disconnect(receiver, _same(sender), dispatch_uid)

    def tell(self, sender: Any, **named: Any) -> None:
        """Send it, if somebody listens; whatever they raise is logged."""
        if self.receivers:
            self.send_robust(_same(sender), **named)

    def send(self, sender: Any, **named: Any) -> Any:
        return self.send_robust(_same(sender), **named)


def _same(sender: Any) -> Any:
    """Return one object for a name: senders are compared by what they are."""
    return _names.setdefault(sender, sender) if isinstance(sender, str) else sender


_names: dict[str, str] = {}

before_task_publish = Signal("before_task_publish")
after_task_publish = Signal("after_task_publish")
task_prerun = Signal("task_prerun")
task_postrun = Signal("task_postrun")
task_success = Signal("task_success")
task_retry = Signal("task_retry")
task_failure = Signal("task_failure")
task_revoked = Signal("task_revoked")
worker_init = Signal("worker_init")
worker_process_init = Signal("worker_process_init")
worker_ready = Signal("worker_ready")
worker_shutting_down = Signal("worker_shutting_down")
worker_shutdown = Signal("worker_shutdown")
worker_process_shutdown = Signal("worker_process_shutdown")
setup_logging = Signal("setup_logging")
after_setup_logger = Signal("after_setup_logger")
after_setup_task_logger = Signal("after_setup_task_logger")
import_modules = Signal("import_modules")

_NEVER = (
    *("beat_embedded_init", "beat_init", "celeryd_after_setup", "celeryd_init"),
    *("eventlet_pool_apply", "eventlet_pool_postshutdown", "eventlet_pool_preshutdown"),
    *("eventlet_pool_started", "heartbeat_sent", "task_internal_error"),
    *("task_received", "task_rejected", "task_sent", "task_unknown"),
    *("user_preload_options", "worker_before_create_process"),
)
_never: dict[str, Signal] = {n: Signal(n, is_sent=False) for n in _NEVER}
Receiver = Callable[..., Any]


def __getattr__(name: str) -> Signal:
    if name in _never:
        return _never[name]
    raise AttributeError(f"Celery has no signal {name!r} that dbqueue knows.")
