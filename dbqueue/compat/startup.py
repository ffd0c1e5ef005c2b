"""The modules of uWSGI under their own names, before any model is imported."""

import sys
from contextlib import suppress
from importlib import import_module

from django.core.exceptions import ImproperlyConfigured

from dbqueue.compat import conf

_NAMES = ("uwsgi", "uwsgidecorators")


def install() -> None:
    """Have `import uwsgidecorators` find ours, where nothing has that name yet."""
    for name in _NAMES:
        if name not in sys.modules:
            sys.modules[name] = import_module(f"dbqueue.compat.{name}")


# What is wrong with the settings, a check tells.
with suppress(ImproperlyConfigured):
    if conf.current().uwsgi_shim:
        install()
