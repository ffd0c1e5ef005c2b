"""The JSON of a claimed job whose row was written by the codec "typed"."""

import json
from typing import Any

from dbqueue.dialects.columns import ClaimedJob
from dbqueue.tasks import payload, typed
from dbqueue.tasks.tags import Instances, ModelReference, unpack


class TypedRow:
    """Reads the arguments of one job, and writes its result."""

    def __init__(self, job: ClaimedJob) -> None:
        self._job = job
        self._instances: Instances = {}

    def fetch(self) -> None:
        """Fetch the instances in the arguments. Raises InstanceGone."""
        self._instances |= typed.instances(*self._stored())

    def arguments(self) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments, with references for what is not fetched.

        Raises InvalidPayload if the row was damaged.
        """
        return typed.arguments(*self._stored(), self._found)

    def dump(self, value: Any) -> str:
        """Return the JSON of a result. Raises InvalidPayload."""
        return typed.result(value, self._instances)

    def load(self, result: str) -> Any:
        """Return the value of a result that dump() made, without a query."""
        return unpack(json.loads(result), self._found)

    def _stored(self) -> tuple[Any, Any]:
        args = payload.read(self._job, "args", dict)
        return args, payload.read(self._job, "kwargs", dict)

    def _found(self, reference: ModelReference) -> Any:
        return self._instances.get(reference, reference)
