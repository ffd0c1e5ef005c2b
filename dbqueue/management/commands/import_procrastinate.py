"""manage.py import_procrastinate"""

from dbqueue.compat.moving import procrastinate
from dbqueue.management.moving import TableCommand


class Command(TableCommand):
    help = (
        "Makes jobs of the rows that wait in the table of procrastinate, "
        "and deletes them there. Run it when no worker of procrastinate is running any "
        "more."
    )
    name = "import_procrastinate"
    table = procrastinate.Waiting
    move_jobs = staticmethod(procrastinate.move_jobs)
