"""Copies of this repository, as it is and as it was, to import dbqueue from."""

import compileall
import os
import shutil
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def git(*arguments, text=True):
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=text).stdout


def described(revision):
    """Return the commit's short hash with its subject; exit if there is none."""
    try:
        return git("show", "-s", "--format=%h %s", f"{revision}^{{commit}}").strip()
    except subprocess.CalledProcessError as error:
        why = f"git knows no commit {revision!r}: {error.stderr.splitlines()[0]}"
        raise SystemExit(why) from None


def check_out(revision, folder):
    """Write the commit's files to the folder, but for its tests."""
    packed = git("archive", "--format=tar", f"{revision}^{{commit}}", text=False)
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    shutil.rmtree(folder / "tests", ignore_errors=True)
    _compile(folder)


def copy(folder, *paths):
    """Copy these paths of the working tree, as it is now, without what git ignores."""
    listed = git("ls-files", "-z", "-co", "--exclude-standard", "--", *paths)
    for name in listed.split("\0"):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    _compile(folder)


def _compile(folder):
    """Compile what is there, as an installer does, whatever the environment says."""
    compileall.compile_dir(folder, quiet=2)


def environment(trees):
    """Return the variables that let a process import from these, before all others.

    Without any, from the current directory.
    """
    if not trees:
        return {"PYTHONPATH": os.getcwd()}
    return {
        "PYTHONPATH": os.pathsep.join(map(str, trees)),
        "PYTHONSAFEPATH": "1",  # else the current directory would come first
        "DBQUEUE_TREE": str(trees[0]),
    }


def verify():
    """Refuse to go on with another dbqueue than that of this process's tree."""
    if tree := os.environ.get("DBQUEUE_TREE"):
        import dbqueue

        if not Path(dbqueue.__file__).resolve().is_relative_to(Path(tree).resolve()):
            raise ImportError(f"{dbqueue.__file__} was imported, not that of {tree}")
