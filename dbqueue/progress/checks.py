"""System checks of progress."""

from typing import Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from dbqueue.conf import nearest
from dbqueue.progress import conf


@checks.register("dbqueue")
def check_progress(**kwargs: Any) -> list[checks.CheckMessage]:
    """E020: OWNS or STORAGE of PROGRESS names what there is not."""
    try:
        known = conf.current()
    except ImproperlyConfigured:
        return []  # which E001 tells
    found = []
    if known.owns is not None and (problem := _problem_of(known.owns)):
        found.append(f"{known.PLACE}['OWNS'] is {known.owns!r}: {problem}")
    if known.storage not in settings.STORAGES:
        near = nearest(known.storage, settings.STORAGES)
        found.append(
            f"{known.PLACE}['STORAGE'] is {known.storage!r}, which STORAGES has not."
            f"{near}"
        )
    return [checks.Error(words, id="dbqueue.E020") for words in found]


def _problem_of(path: str) -> str:
    try:
        owns = import_string(path)
    except ImportError as error:
        return f"{error}."
    return "" if callable(owns) else "it is no function of (request, job)."
