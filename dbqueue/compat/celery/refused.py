"""What there is not: each says so, and names the way out."""

from typing import Any, NoReturn


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(
        f"{what} is not supported by dbqueue.compat.celery yet. Enqueue the next task "
        "at the end of the one before."
    )


def chain(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("chain()")


def group(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("group()")


def chord(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("chord()")


def signature(*args: Any, **options: Any) -> NoReturn:
    _refuse("signature()")
