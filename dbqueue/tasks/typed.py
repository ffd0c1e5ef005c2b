"""The codec "typed": arguments and results whose types tags keep; see `tags`.

A row says itself that it is written so: its `args` are {"typed": [...]}, and no list.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Model
from django.utils.connection import ConnectionDoesNotExist

from dbqueue.exceptions import InstanceGone, InvalidPayload
from dbqueue.tasks import payload, signatures
from dbqueue.tasks.payload import Call, Json
from dbqueue.tasks.tags import Find, Instances, ModelReference, pack, unpack

NAME = "typed"
# How the `args` of such a row begin, as text.
BEGINNING = '{"typed"'
NOTHING: Json = {NAME: []}
_NO_SUCH = (
    *(LookupError, TypeError, ValueError),
    *(ConnectionDoesNotExist, ValidationError),
)


def call(task: Any, args: Any, kwargs: Mapping[str, Any]) -> Call:
    """Return the call as it is stored; see payload.call()."""
    signatures.check(task, args, kwargs)
    seen: Instances = {}
    packed_args, packed_kwargs = _packed(args, kwargs, seen)
    return Call(
        *arguments({NAME: packed_args}, packed_kwargs, seen.__getitem__),
        payload.dump({NAME: packed_args}, "The arguments"),
        payload.dump(packed_kwargs, "The keyword arguments"),
    )


def normalize(args: Any, kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments as the job will get them. Raises InvalidPayload."""
    seen: Instances = {}
    packed_args, packed_kwargs = _packed(args, kwargs, seen)
    return arguments({NAME: packed_args}, packed_kwargs, seen.__getitem__)


def result(value: Any, seen: Instances) -> str:
    """Return the JSON text of what a task returned, and note its instances in `seen`.

    Raises InvalidPayload.
    """
    where = "The result"
    packed = _guarded(lambda: pack(value, where, seen))
    return payload.dump(payload.normalize(packed, where), where)


def is_typed(args: Json) -> bool:
    """Tell whether the `args` of a row say that it is written so."""
    return isinstance(args, dict) and args.keys() == {NAME}


def arguments(args: Json, kwargs: Json, find: Find) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of a row; `find` gives the instance for each reference.

    Raises InvalidPayload if the row was damaged.
    """
    packed = args[NAME] if is_typed(args) else None
    if not isinstance(packed, list) or not isinstance(kwargs, dict):
        raise InvalidPayload(f"The arguments are damaged: {args!r:.100}")
    plain = {key: unpack(item, find) for key, item in kwargs.items()}
    return [unpack(item, find) for item in packed], plain


def read(args: Json, kwargs: Json, value: Json = None) -> tuple[Any, Any, Any]:
    """Return the arguments and the result of a row, for somebody who looks at it.

    The instances are as they are now; a reference stands for one that is gone, and a
    damaged row for itself.
    """
    wanted: list[ModelReference] = []
    try:
        arguments(args, kwargs, wanted.append)
        unpack(value, wanted.append)
    except InvalidPayload:
        return args, kwargs, value
    found = _fetched(wanted)

    def find(reference: ModelReference) -> Any:
        return found.get(reference, reference)

    return *arguments(args, kwargs, find), unpack(value, find)


def instances(args: Json, kwargs: Json) -> Instances:
    """Fetch the instances that the arguments of a row name.

    Raises InvalidPayload if the row was damaged, and InstanceGone.
    """
    wanted: list[ModelReference] = []
    arguments(args, kwargs, wanted.append)
    found = _fetched(wanted)
    for reference in wanted:
        if reference not in found:
            raise InstanceGone(
                f"The job was enqueued with {reference.label} {reference.pk!r}, which "
                f"is not, or no longer, in database {reference.database!r}."
            )
    return found


def _fetched(references: Iterable[ModelReference]) -> Instances:
    """Fetch those instances that can be found, with one query a model."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for label, pk, database in references:
        groups.setdefault((label, database), []).append(pk)
    return {
        ModelReference(label, pk, database): instance
        for (label, database), keys in groups.items()
        for pk, instance in _in_bulk(label, database, keys).items()
    }


def _in_bulk(label: str, database: str, keys: list[Any]) -> dict[Any, Model]:
    try:
        rows = apps.get_model(label)._base_manager.using(database)
        found: dict[Any, Model] = rows.in_bulk(keys)
    # There is no such model or alias any more, or its keys are of another type.
    except _NO_SUCH:
        return {}
    return found


def _packed(
    args: Any, kwargs: Mapping[str, Any], seen: Instances
) -> tuple[list[Json], dict[str, Json]]:
    packed: tuple[list[Json], dict[str, Json]] = _guarded(
        lambda: payload.arguments(
            [pack(item, f"Argument {i}", seen) for i, item in enumerate(args, 1)],
            {
                key: pack(item, f"Argument {key!r}", seen)
                for key, item in kwargs.items()
            },
        )
    )
    return packed


def _guarded(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except RecursionError:
        raise InvalidPayload(
            "A value is nested too deeply, or contains itself."
        ) from None
