"""A machine that has too little memory for a picture: it is kept, and tried again."""

import os
import subprocess
import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from dbqueue.models import Upload, UploadChunk
from dbqueue.uploads import Variant, save_image
from tests.gallery.models import Profile
from tests.support.processes import ROOT, reasons, unfinished, wait_until
from tests.uploads.test_images import an_image, picture

pytest_plugins = ["tests.support.worker_fixtures"]
pytestmark = pytest.mark.django_db(transaction=True)

MEBIBYTE = 2**20
MOST = 300 * MEBIBYTE
LESS = 60 * MEBIBYTE  # beyond what the client has
# Decoded, with its copies, it takes far more than that; ours lets it in.
LARGE = (7000, 7000)
CGROUPS = {
    Path("/sys/fs/cgroup"): ("memory.max", "memory.swap.max"),
    Path("/sys/fs/cgroup/memory"): ("memory.limit_in_bytes", None),
}


@pytest.fixture
def cgroup():
    """Return a control group whose processes have 300 MB together."""
    for parent, (most, swap) in CGROUPS.items():
        if not (parent / "cgroup.procs").exists():
            continue
        folder = parent / f"dbqueue-{os.getpid()}"
        with suppress(OSError):
            folder.mkdir()
            try:
                (folder / most).write_text(str(MOST))
            except OSError:
                folder.rmdir()
                raise
            with suppress(OSError, TypeError):
                (folder / swap).write_text("0")
            yield folder
            wait_until(lambda folder=folder: is_removed(folder), "it is empty")
            return
    pytest.skip(
        "NOT TESTED: a control group of 300 MB. Making one takes root's rights."
    )


def is_removed(folder):
    with suppress(OSError):
        folder.rmdir()
    return not folder.exists()


@pytest.fixture
def upload(settings, tmp_path):
    settings.MEDIA_ROOT = str(tmp_path / "media")
    profile = Profile.objects.create()
    buffer = BytesIO()
    Image.new("RGBA", LARGE).save(buffer, "PNG", compress_level=1)
    variants = {"large": Variant(6000)}
    save_image(an_image(buffer.getvalue()), profile, variants=variants)
    return Upload.objects.get()


def assert_kept(upload):
    upload.refresh_from_db()
    assert upload.state == "STORED"
    chunks = UploadChunk.objects.filter(upload=upload)
    assert chunks.count() == upload.chunk_count > 0


IN_CGROUP = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as processes:
    processes.write(str(os.getpid()))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


def test_a_picture_whose_decoder_the_kernel_kills_for_memory_is_kept_and_retried(
    cgroup, upload, start, settings
):
    manage = str(ROOT / "tests" / "manage.py")
    worker = start(
        [sys.executable, "-c", IN_CGROUP, cgroup, manage, "runworker"],
        ["--threads", 1],
        settings={"MEDIA_ROOT": settings.MEDIA_ROOT},
        PYTHONPATH=ROOT,
    )

    row = wait_until(
        lambda: unfinished(failures=1, state="SCHEDULED").first(), "it was tried"
    )

    assert reasons(row) == ["failed"]
    assert "memory" in row.attempt_log[0]["message"]
    assert_kept(upload)
    assert worker.process.poll() is None
    worker.kill_all()


LIMITED = """
import json, os, resource, sys
import django
django.setup()
from dbqueue.imaging import sandbox
from dbqueue.imaging.exceptions import ContentRejected, SandboxFailed
from dbqueue.imaging.policy import ImagePolicy
from pathlib import Path
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    with open(sys.argv[1], "rb") as source:
        sandbox.render(source.fileno(), ImagePolicy(), {}, Path(sys.argv[3]))
    print("rendered")
except (ContentRejected, SandboxFailed) as error:
    print(f"{type(error).__name__}: {error}")
"""


@pytest.mark.parametrize(
    ("size", "expected"), [((200, 100), "rendered"), (LARGE, "SandboxFailed")]
)
def test_a_decoder_that_inherits_a_stricter_limit_does_not_blame_the_picture(
    size, expected, tmp_path, database_address
):
    source = tmp_path / "source.png"
    source.write_bytes(picture(size, "PNG"))
    outputs = tmp_path / "outputs"
    outputs.mkdir()

    done = subprocess.run(
        [sys.executable, "-c", LIMITED, source, str(LESS), outputs],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": database_address,
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.startswith(expected), done.stdout + done.stderr
