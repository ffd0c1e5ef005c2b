"""The column of a cadence: an object here, JSON there."""

from contextlib import suppress
from typing import Any

from dbqueue.models.fields import Json
from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.times import cadence
from dbqueue.schedules.times.base import Cadence


class CadenceField(Json):
    """Holds a Cron, an Every or an At; of a damaged row, what stands there."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return self.to_python(super().from_db_value(value, expression, connection))

    def to_python(self, value: Any) -> Any:
        with suppress(InvalidSchedule):
            return cadence.read(value)
        return value

    def get_db_prep_value(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        return super().get_db_prep_value(_plain(value), *args, **kwargs)

    def value_to_string(self, obj: Any) -> Any:
        return _plain(self.value_from_object(obj))

    def validate(self, value: Any, model_instance: Any) -> None:
        super().validate(_plain(value), model_instance)


def _plain(value: Any) -> Any:
    return value.as_json() if isinstance(value, Cadence) else value
