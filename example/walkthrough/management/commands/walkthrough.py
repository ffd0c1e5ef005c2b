"""manage.py walkthrough, which example/demo runs."""

import signal
import sys
import time
from contextlib import suppress

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection

from walkthrough.ground import ADMIN, admin_password, alone, clear
from walkthrough.services import Failed, Service, free_port
from walkthrough.story import PROCESSES, THREADS, WORKER_NAME, Story


class Command(BaseCommand):
    help = "Fills in the form for several people, runs a worker, checks what comes out."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument(
            "--serve",
            action="store_true",
            help="keep site, admin and worker running afterwards, until Ctrl-C",
        )

    def handle(self, *, serve, **options):
        # A terminal that closes and a `kill` end the services as Ctrl-C does, which a
        # shell has ignored in what it runs in the background.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
        sys.stdout.reconfigure(errors="replace")
        try:
            with alone():
                self._run(serve)
        except Failed as failure:
            sys.exit(f"The demo failed.\n{failure}")
        except KeyboardInterrupt:
            self._say("Stopped.")
            sys.exit(130)

    def _run(self, serve):
        clear()
        port = free_port(8000 if serve else 0)
        address = f"http://127.0.0.1:{port}/"
        site = Service("site", "runserver", "--noreload", f"127.0.0.1:{port}")
        worker = Service(
            "worker",
            *("runworker", "--no-reload", "--worker-name", WORKER_NAME),
            *("--processes", str(PROCESSES), "--threads", str(THREADS)),
        )
        self._say(f"The site is {address}, its database {_database()}.")
        with site, worker:
            story = Story(self._say, address, site=site, worker=worker)
            story.tell()
            if serve:
                self._say(story.moral())
                self._serve(address, site, worker)
            code = worker.stop()
        if code:
            raise Failed(f"The worker ended with code {code}.\n{worker.last_words()}")
        self._say("Stopped." if serve else story.moral())

    def _serve(self, address, site, worker):
        self._say(
            f"\n  Site    {address}\n"
            f"  Admin   {address}admin/ as {ADMIN}, password {admin_password()}\n"
            f"  Files   {settings.VAR}\n\n"
            "Ctrl-C stops site and worker."
        )
        with suppress(KeyboardInterrupt):
            while True:
                site.check()
                worker.check()
                time.sleep(0.5)

    def _say(self, text):
        self.stdout.write(text)
        self.stdout.flush()


def _database():
    where = connection.settings_dict
    return f"{connection.display_name} ({where['NAME']})"
