"""What is done with a file that a browser has sent to a bucket."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.db.models import F

from dbqueue.fields.forms.values import AsyncFileInputData
from dbqueue.models import Upload
from dbqueue.testing import run_jobs
from tests.album.models import Song
from tests.uploads.test_faults import sweep_when_all_delays_are_over

FILM = Song._meta.get_field("film")
CONTENT = bytes(range(256)) * 100


def storages(name, *packages):
    """Import the storages of a name, which takes a second; skip without packages."""
    for package in ("storages", *packages):
        extra = f"dbqueue-django[{name}]"
        pytest.importorskip(package, reason=f'pip install "{extra}"')
    return import_module(f"dbqueue.fields.storages.{name}")


def complete(sender, told):
    return sender.client.post(told["completeUrl"])


def saved(told):
    """Save a song with what was sent."""
    song = Song(sheet="x.txt")
    song.film = AsyncFileInputData(told["key"], told["name"])
    song.save()
    return song


def brought(told):
    """Return the song when the jobs have run."""
    song = saved(told)
    run_jobs()
    song.refresh_from_db()
    return song


def read(file):
    with file.open() as opened:
        return opened.read()


def sweep():
    """Delete what is due, when nothing more can be sent to any address."""
    Upload.objects.update(created_at=F("created_at") - timedelta(days=1))
    sweep_when_all_delays_are_over()
