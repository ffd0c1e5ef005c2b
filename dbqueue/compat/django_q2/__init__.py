"""django-q2 on dbqueue's database: a broker for its clusters, and a way over.

`Q_CLUSTER = {"broker_class": "dbqueue.compat.django_q2.Broker", …}` is all that a
project changes. `tasks` has django-q2's names for projects that run no cluster.
"""

from importlib import import_module
from typing import Any

from dbqueue.exceptions import MissingExtra

__all__ = ["Broker"]


def __getattr__(name: str) -> Any:
    # django-q2 reads the settings when it is imported, and its models need the apps.
    if name not in __all__:
        raise AttributeError(
            f"module 'dbqueue.compat.django_q2' has no attribute {name!r}. There is "
            "Broker, for Q_CLUSTER['broker_class'], and the module tasks."
        )
    demand_package()
    return getattr(import_module("dbqueue.compat.django_q2.broker"), name)


def demand_package() -> None:
    """Raise MissingExtra unless django-q2 is installed."""
    try:
        import_module("django_q")
    except ModuleNotFoundError as error:
        if error.name != "django_q":
            raise
        raise MissingExtra(
            "dbqueue.compat.django_q2 needs the package django-q2, which is not "
            "installed. Run: pip install 'dbqueue-django[django-q2]'"
        ) from error
