"""A storage that stands still in the middle of a file."""

import time
from pathlib import Path

from django.core.files.storage import FileSystemStorage


class Stuck(FileSystemStorage):
    """Stores half of each `second.txt` until there is a file `go` beside the folder."""

    def _save(self, name, content):
        if name.endswith("second.txt"):
            whole = content.read()
            path = Path(self.path(name))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(whole[: len(whole) // 2])
            while not Path(self.location).with_name("go").exists():
                time.sleep(0.01)
            path.write_bytes(whole)
            return name
        return super()._save(name, content)
