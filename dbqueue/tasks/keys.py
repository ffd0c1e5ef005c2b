"""Keys by which jobs are told apart: arguments of the call, or what a function says."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from inspect import BoundArguments, Parameter, iscoroutinefunction, isfunction
from typing import Any

from dbqueue.conf import nearest
from dbqueue.exceptions import InvalidKey, InvalidPayload
from dbqueue.tasks import payload, signatures
from dbqueue.tasks.framework import InvalidTask
from dbqueue.tasks.tags import pack

# The name of an argument, some names, a function that is called as the task's, or None.
Key = str | Sequence[str] | Callable[..., Any] | None

LENGTH = 200  # what the columns of keys hold
_NAMED, _NONE = Parameter.VAR_KEYWORD, Parameter.empty
_MANY = (Parameter.VAR_POSITIONAL, _NAMED)


def normal(key: Key) -> Any:
    """Return the key as it can be compared, and hashed. Raises InvalidTask."""
    if key is None or isinstance(key, str):
        return key
    if iscoroutinefunction(key):
        raise InvalidTask(f"key={key!r} is async; a key is made while you enqueue.")
    if callable(key):
        return key
    if isinstance(key, list | tuple) and all(isinstance(name, str) for name in key):
        return tuple(key)
    raise InvalidTask(
        f"key={key!r} must be the name of an argument, a list of names, or a function "
        "that gets the arguments of the job."
    )


def check(option: str, key: Any, task: Any) -> None:
    """Raise InvalidTask if the key names what is no argument of the task."""
    if key is None or callable(key) or not isfunction(task.func):
        return
    own = signatures.own_signature(task.func).parameters.values()
    names = [p.name for p in own if p.kind not in _MANY][bool(task.takes_context) :]
    if any(p.kind is _NAMED for p in own):
        return
    for name in _names(key):
        if name not in names:
            raise InvalidTask(
                f"{option} of {task.module_path!r} has key={key!r}, but its function "
                f"has no argument {name!r}.{nearest(name, names)} It takes "
                f"{', '.join(names) or 'none'}."
            )


def value_of(
    option: str, key: Any, task: Any, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """Return what the key is for a call, as JSON; None if its function says so.

    `option` is what has the key, for errors. Without a key it is all arguments that
    are not the defaults. Raises InvalidKey.
    """
    where = f"The key of {option} of {task.module_path!r}"
    if callable(key):
        value = _asked(where, key, args, kwargs)
    elif key is None:
        value = _given(task, args, kwargs)
    else:
        given = _by_name(task, args, kwargs)
        found = [_named(where, name, given) for name in _names(key)]
        value = found[0] if isinstance(key, str) else found
    try:
        return payload.normalize(pack(value, where, {}), where)
    except InvalidPayload as error:
        raise InvalidKey(str(error)) from error


def text(value: Any) -> str:
    """Return a value as text; equal ones have the same."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def composed(name: str, value: str) -> str:
    """Return `name:value`, or what stands for it where that is too long."""
    whole = f"{name}:{value}"
    if len(whole) <= LENGTH:
        return whole
    digest = sha256(whole.encode()).hexdigest()
    return f"{whole[: LENGTH - len(digest) - 1]}#{digest}"


def _names(key: str | tuple[str, ...]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key


def _asked(where: str, key: Any, args: Any, kwargs: Any) -> Any:
    try:
        return key(*args, **kwargs)
    except Exception as error:
        raise InvalidKey(
            f"{where} cannot be made: {key!r} raised {type(error).__name__}: {error}"
        ) from error


def _bound(task: Any, args: Any, kwargs: Any) -> BoundArguments:
    own = signatures.own_signature(task.func)
    return own.bind(*([None] if task.takes_context else []), *args, **kwargs)


def _own(task: Any, bound: BoundArguments) -> Iterator[tuple[Parameter, Any]]:
    """Yield the parameters with their arguments, without the context."""
    items = list(bound.arguments.items())[bool(task.takes_context) :]
    for name, value in items:
        yield bound.signature.parameters[name], value


def _by_name(task: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    bound = _bound(task, args, kwargs)
    bound.apply_defaults()
    given: dict[str, Any] = {}
    for parameter, value in _own(task, bound):
        given |= value if parameter.kind is _NAMED else {parameter.name: value}
    return given


def _given(task: Any, args: Any, kwargs: Any) -> dict[str, Any]:
    bound = _bound(task, args, kwargs)
    own = _own(task, bound)
    return {
        p.name: value for p, value in own if p.default is _NONE or p.default != value
    }


def _named(where: str, name: str, given: dict[str, Any]) -> Any:
    if name in given:
        return given[name]
    raise InvalidKey(
        f"{where} cannot be made: argument {name!r} was not given by its name. Name "
        "it in the call, or give key= a function."
    )
