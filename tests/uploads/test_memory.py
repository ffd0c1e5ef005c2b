"""How much memory an upload takes, in the request's process and in the worker's."""

import json
import os
import subprocess
import sys

import pytest

from tests.support.processes import ROOT, environment

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

ALLOWED = 16 * 1024  # KiB, for a file of 32 MB

SCRIPT = """
import json, os, sys
import django
django.setup()
from django.core.files.uploadedfile import TemporaryUploadedFile
from dbqueue.testing import run_jobs
from dbqueue.uploads import ImagePolicy, save_image
from tests.gallery.models import Profile

def peak():
    with open("/proc/self/status") as status:
        lines = dict(line.split(":", 1) for line in status)
    return int(lines["VmHWM"].split()[0])

def growth(function, *args, **kwargs):
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")
    before = peak()
    function(*args, **kwargs)
    return peak() - before

def upload(path):
    file = TemporaryUploadedFile("noise.png", "image/png", os.path.getsize(path), "")
    with open(path, "rb") as source:
        while data := source.read(65536):
            file.write(data)
    save_image(file, profile, "photo", policy=ImagePolicy(max_size=40_000_000))

small, large = sys.argv[1:]
profile = Profile.objects.create()
upload(small), run_jobs()  # all that is imported once, is
print(json.dumps({"request": growth(upload, large), "worker": growth(run_jobs)}))
assert "PIL" not in sys.modules
profile.refresh_from_db()
assert profile.photo_width == 3300, profile.photo_width
"""


@pytest.fixture
def noise(tmp_path):
    """Return the paths of a small and of a large picture that nothing compresses."""
    from PIL import Image

    paths = []
    for side in (50, 3300):
        path = tmp_path / f"{side}.png"
        pixels = os.urandom(side * side * 3)
        Image.frombytes("RGB", (side, side), pixels).save(path, compress_level=0)
        paths.append(str(path))
    assert os.path.getsize(paths[1]) > 32_000_000
    return paths


def test_a_picture_of_32_mb_takes_little_memory(
    noise, database_address, effects, tmp_path
):
    settings = {"MEDIA_ROOT": str(tmp_path / "media")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *noise],
        env=environment(database_address, effects, settings, PYTHONPATH=ROOT),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    grown = json.loads(done.stdout)
    print(grown)
    assert grown["request"] <= ALLOWED
    assert grown["worker"] <= ALLOWED
