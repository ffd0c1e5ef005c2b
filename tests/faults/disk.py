"""A disk that is easily full: a tmpfs of some mebibytes."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

MEBIBYTE = 2**20


class SmallDisk:
    def __init__(self, path):
        self.path = path
        self._ballast = path / "ballast"

    def fill(self):
        """Take all the room that is left."""
        with self._ballast.open("wb", buffering=0) as file:
            for size in (MEBIBYTE, 4096):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    pass

    def make_room(self):
        self._ballast.unlink()


@contextmanager
def small_disk(folder, *, mebibytes):
    """Give a disk of that size; skip the test where nothing may be mounted."""
    path = Path(folder) / "small"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("NOT TESTED: a full disk. Mounting a tmpfs takes root's rights.")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
