"""Spool functions: a call writes a job, and a worker runs it as uWSGI's spooler would.

What differs: a failure is tried again a few times only, and not for ever.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial, update_wrapper
from inspect import iscoroutinefunction, signature
from typing import Any

from asgiref.sync import async_to_sync
from django.db import transaction

from dbqueue import enqueue
from dbqueue import task as declare
from dbqueue.compat.spooler import bodies, handle, message
from dbqueue.compat.spooler.arguments import packed, unpacked
from dbqueue.compat.spooler.declaring import is_installed, warn_once, when_ready
from dbqueue.compat.spooler.endings import SPOOL_OK, SPOOL_RETRY, end
from dbqueue.compat.spooler.handle import SpoolHandle
from dbqueue.ids import uuid7
from dbqueue.tasks.framework import InvalidTask

# By the name by which uWSGI knows them; of two apps, several may have one name.
by_name: dict[str, dict[str, "Spooled"]] = {}
# One of @spoolforever goes on, however many of its workers were killed.
FOR_EVER = 32_767


class Spooled:
    """A function that calls put into the queue; `f` is the function itself."""

    # What becomes of a job whose function has returned; None: as it says itself.
    verdict: int | None = SPOOL_OK
    attempts: int | None = None
    # Whether messages may name it.
    is_spooled = True

    def __init__(self, f: Callable[..., Any], pass_arguments: bool = False) -> None:
        self.f = f
        self.pass_arguments = pass_arguments
        update_wrapper(self, f)
        self.path = f"{f.__module__}.{f.__qualname__}"
        self.job: Any = None  # the dbqueue task, once it is declared
        if self.is_spooled:
            by_name.setdefault(f.__name__, {})[self.path] = self
        with suppress(AttributeError):  # of a builtin
            f.spool = self.spool  # type: ignore[attr-defined]  # as uWSGI does
        when_ready(self.declare)

    def __repr__(self) -> str:
        return f"<@{type(self).__name__} {self.path}>"

    def __call__(self, /, *args: Any, **kwargs: Any) -> SpoolHandle:
        """Write a job, in the transaction that is open, and return its name.

        Raises TypeError for arguments that cannot be sent or do not fit, ValueError for
        special keys that cannot be read.
        """
        if self.pass_arguments:
            return self._call_with(args, kwargs)
        given = dict(args[0]) if args else {}
        return self.send({**given, **kwargs})

    def spool(self, /, *args: Any, **kwargs: Any) -> SpoolHandle:
        """See calling it."""
        return self(*args, **kwargs)

    def send(self, given: Mapping[Any, Any]) -> SpoolHandle:
        """Write a job of a message, a dict."""
        wanted = message.request_of(message.named(given))
        texts = message.texts(given)
        if not is_installed():
            return self.at_once((self.told(texts, "inline", wanted.body),), {})
        return self._write(wanted, [texts], {})

    def _call_with(self, args: Any, kwargs: dict[str, Any]) -> SpoolHandle:
        special = {key: kwargs.pop(key) for key in message.SPECIAL if key in kwargs}
        wanted = message.request_of(special)
        signature(self.f).bind(*args, **kwargs)
        if not is_installed():
            return self.at_once(args, kwargs)
        return self.write(wanted, args, kwargs)

    def write(self, wanted: message.Request, args: Any, kwargs: Any) -> SpoolHandle:
        """Write a job of a call with arguments."""
        own = {name: packed(value) for name, value in kwargs.items()}
        return self._write(wanted, [packed(value) for value in args], own)

    def _write(self, wanted: Any, args: list[Any], kwargs: Any) -> SpoolHandle:
        job = self.job or self.declare()
        job_id = None if wanted.body is None else uuid7()
        try:
            chosen = job.using(
                queue_name=wanted.queue_name,
                priority=wanted.priority,
                run_after=wanted.run_after,
                job_id=job_id,
            )
            if job_id is None:
                return handle.of_job(enqueue(chosen, *args, **kwargs).id)
            alias = chosen.get_backend().database
            with transaction.atomic(using=alias):
                bodies.write(alias, job_id, wanted.body)
                if not self.pass_arguments:
                    args.append({"body": len(wanted.body)})
                return handle.of_job(enqueue(chosen, *args, **kwargs).id)
        except InvalidTask as error:  # uWSGI's error for a spooler that it has not
            raise ValueError(str(error)) from error

    def at_once(self, args: Any, kwargs: Any) -> SpoolHandle:
        """Call the function here: there is no queue."""
        warn_once(
            "inline",
            "'dbqueue' is not in INSTALLED_APPS: spool functions are run at once, in "
            "the process that calls them.",
        )
        self._called(*args, **kwargs)
        return handle.INLINE

    def declare(self) -> Any:
        """Declare the task of its jobs, and return it."""

        def run(context: Any, /, *args: Any, **kwargs: Any) -> None:
            self.run_job(context, args, kwargs)

        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(run, name, getattr(self.f, name))
        self.job = declare(
            takes_context=True,
            keep_result=False,
            max_attempts=self.attempts,
            codec="typed" if self.pass_arguments else "json",
        )(run)
        return self.job

    def run_job(self, context: Any, args: Any, kwargs: Any) -> None:
        """Call the function as a job. Raises what ends the attempt otherwise."""
        if self.pass_arguments:
            args = unpacked(list(args))
            kwargs = {name: unpacked(value) for name, value in kwargs.items()}
        else:
            args = (self._message_of(context.task_result, *args),)
        end(self.verdict, partial(self._called, *args, **kwargs))

    def _message_of(self, result: Any, texts: Any, *more: Any) -> dict[str, Any]:
        alias = result.task.get_backend().database
        body = bodies.read(alias, result.id) if more else None
        return self.told(texts, handle.of_job(result.id).decode(), body)

    def told(
        self, texts: dict[str, str], name: str, body: bytes | None = None
    ) -> dict[str, Any]:
        """Return the message as the function gets it; `name` is that of the job."""
        own = {"ud_spool_func": self.f.__name__, "spooler_task_name": name}
        if self.verdict is not None:
            own["ud_spool_ret"] = str(self.verdict)
        told: dict[str, Any] = {**own, **texts}
        return told if body is None else told | {"body": bodies.as_told(body)}

    def _called(self, /, *args: Any, **kwargs: Any) -> Any:
        call = async_to_sync(self.f) if iscoroutinefunction(self.f) else self.f
        return call(*args, **kwargs)


class Raw(Spooled):
    """Says by what it returns what becomes of its job."""

    verdict = None


class Forever(Spooled):
    """Runs again and again, whatever it returns or raises."""

    verdict = SPOOL_RETRY
    attempts = FOR_EVER


def named(name: str) -> Spooled | None:
    """Return the function of the name, None if there is none.

    Raises ValueError if several modules have one.
    """
    found = by_name.get(name, {})
    if len(found) > 1:
        raise ValueError(
            f"ud_spool_func={name!r} may be {' or '.join(sorted(found))}. Call the "
            "function that is meant."
        )
    return next(iter(found.values()), None)


def at(path: str) -> Spooled | None:
    """Return the function at a dotted path, if it was declared here."""
    name = path.rpartition(".")[2]
    return by_name.get(name, {}).get(path)


def paths() -> list[str]:
    """Return the paths of all that were declared here."""
    return sorted(path for found in by_name.values() for path in found)
