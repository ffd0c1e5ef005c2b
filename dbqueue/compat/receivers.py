"""What is done once the models are there, and once a field has changed."""

import sys
from typing import Any

from django.core.cache import cache
from django.dispatch import receiver

from dbqueue.jobs import tracebacks
from dbqueue.uploads.models import Upload
from dbqueue.uploads.signals import upload_promoted


@receiver(upload_promoted, dispatch_uid="dbqueue.compat.async_image_save")
def clear_cache(sender: Any, upload: Upload, **kwargs: Any) -> None:
    """Empty the whole cache, as async_image_save does."""
    if upload.options.get("clear_cache"):
        cache.clear()


# Between the worker and the functions of projects.
tracebacks.fold_those_of("compat")
if celery := sys.modules.get("dbqueue.compat.celery.app.making"):
    celery.declare_waiting()
if spooler := sys.modules.get("dbqueue.compat.spooler.declaring"):
    spooler.declare_waiting()
