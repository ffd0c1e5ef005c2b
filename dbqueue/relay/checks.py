"""System checks of engines: silent in a project without any."""

from typing import Any

from django.core import checks
from django.core.exceptions import ImproperlyConfigured

from dbqueue.relay import engines


@checks.register("dbqueue")
def check_engines(**kwargs: Any) -> list[checks.CheckMessage]:
    """E011: an engine in OPTIONS["engines"] of TASKS cannot work."""
    try:
        for engine in engines.engines():
            engine.make()
            engines.demand_fit_tasks(engine)
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), id="dbqueue.E011")]
    return []
