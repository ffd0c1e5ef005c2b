"""The options of runworker."""

from argparse import ArgumentTypeError

from django.core.management.base import CommandParser

from dbqueue.management.backends import add_examples, default, non_negative, positive
from dbqueue.worker.parent.failures import FAILED_JOBS


def add_worker_options(parser: CommandParser) -> None:
    """Add the options of runworker, each with its default."""
    _add_choices(parser)
    _add_limits(parser)
    add = parser.add_argument
    reload = "restart when the code changes; default: with DEBUG, without --drain"
    add("--reload", action="store_true", default=None, help=reload)
    add(
        "--no-reload",
        action="store_false",
        dest="reload",
        help="do not, even with DEBUG",
    )
    hup = "what SIGHUP does; restart: stop, and begin again with the code of then; "
    hup += "default: %(default)s"
    add("--hup", choices=["stop", "restart"], default="stop", help=hup)
    beside = "a command to run beside it, such as a web server, and to end with"
    add("--with", dest="beside", metavar="COMMAND", help=beside)
    name = "what lists of workers show; default: host:pid"
    add("--worker-name", dest="name", metavar="NAME", help=name)
    health = "a file to touch at each heartbeat; default: none"
    add("--health-file", metavar="PATH", help=health)
    add_examples(
        parser,
        "runworker",
        "runworker --queues 'mail,reports-*' --processes 2 --threads 8",
        "runworker --queues 'mail:2,pdf:1,*'",
        "runworker --exclude slow --grace 60 --health-file /run/worker/health",
        "runworker --drain --fail-on-failure",
        "runworker --with 'gunicorn mysite.wsgi'",
        "runworker --max-jobs 1000 --exit-at-max",
    )


def _add_choices(parser: CommandParser) -> None:
    add = parser.add_argument
    backend = "an alias in TASKS; default: the first, and all in its database"
    add("--backend", metavar="ALIAS", help=backend)
    database = "an alias in DATABASES, in place of --backend"
    add("--database", metavar="ALIAS", help=database)
    queues = "'a,b,mail-*', in this order; 'mail:2' with 2 slots of its own in each "
    queues += "process; default: all, the highest priority first"
    add("--queues", type=_names, metavar="A,B", help=queues)
    exclude = "queues to leave out, names or patterns; default: none"
    add("--exclude", type=_names, default=(), metavar="A,B", help=exclude)
    for option, what, key in (
        ("--processes", "child processes", "PROCESSES"),
        ("--threads", "sync jobs at once in each process", "THREADS"),
        ("--async-concurrency", "async jobs at once in each", "ASYNC_CONCURRENCY"),
    ):
        text = f"{what}; {default(key)}"
        add(option, type=positive, metavar="N", help=text)


def _add_limits(parser: CommandParser) -> None:
    add = parser.add_argument
    jobs = "replace a process after N jobs; default: never"
    add("--max-jobs", type=positive, metavar="N", help=jobs)
    rss = "replace a process above N MiB; default: never"
    add("--max-rss", type=positive, metavar="N", help=rss)
    at_max = "stop and exit with 0, in place of replacing a process"
    add("--exit-at-max", action="store_true", help=at_max)
    drain = "stop when the queues are empty, exit with 0"
    add("--drain", action="store_true", help=drain)
    failure = f"exit with {FAILED_JOBS} in place of 0 if a job has FAILED"
    add("--fail-on-failure", action="store_true", help=failure)
    grace = f"given to running jobs when stopped; {default('GRACE')}"
    add("--grace", type=_seconds, metavar="SECONDS", help=grace)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise ArgumentTypeError(f"{text!r} names no queue")
    return names


def _seconds(text: str) -> float:
    return non_negative(text, "seconds, 0 or more")
