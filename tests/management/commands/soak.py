"""manage.py soak: load and random faults for as long as asked; see tests/soak."""

import os
import random
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from tests.faults.soak import ROUND, Soak
from tests.settings import url


class Command(BaseCommand):
    help = "Mix random faults under load; end with an error if an invariant breaks."

    def add_arguments(self, parser):
        parser.add_argument("minutes", type=float, nargs="?", default=20.0)
        parser.add_argument("--junit-xml", type=Path, help="where to write a report")

    def handle(self, **options):
        seed = int(os.environ.get("DBQUEUE_SOAK_SEED") or random.randrange(2**32))
        given = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        address = url(connection.settings_dict)
        self.stdout.write(
            f"{options['minutes']:g} minutes on {connection.vendor}, "
            f"DBQUEUE_SOAK_SEED={seed}"
        )
        try:
            with TemporaryDirectory(prefix="dbqueue-soak-") as folder:
                soak = Soak(random.Random(seed), Path(folder), address)
                try:
                    self.go_on(soak, time.monotonic() + 60 * options["minutes"])
                finally:
                    write_report(soak, options["junit_xml"], failed=sys.exception())
        finally:
            connection.creation.destroy_test_db(given, verbosity=0)
        self.stdout.write("No invariant was broken.")

    def go_on(self, soak, deadline):
        try:
            while (left := deadline - time.monotonic()) > 0:
                sentences = soak.round(min(ROUND, left))
                self.stdout.write(soak.told)
                self.stdout.flush()
                if sentences:
                    raise CommandError("\n".join(["Broken invariants:", *sentences]))
        finally:
            soak.close()


def write_report(soak, path, *, failed):
    """Write what was measured as pytest would; see tests.faults.report."""
    if path is None:
        return
    case = ElementTree.Element("testcase", classname="tests.faults.soak", name="soak")
    properties = ElementTree.SubElement(case, "properties")
    for fact in soak.facts():
        value = "|".join(map(str, fact))
        ElementTree.SubElement(properties, "property", name="measured", value=value)
    if failed:
        ElementTree.SubElement(case, "failure", message=str(failed)[:2000])
    suite = ElementTree.Element("testsuite")
    suite.append(case)
    ElementTree.ElementTree(suite).write(path)
