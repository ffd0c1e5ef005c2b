"""manage.py import_tasks_db"""

from dbqueue.compat.moving import tasks_db
from dbqueue.management.moving import TableCommand


class Command(TableCommand):
    help = (
        "Makes jobs of the rows that wait in the table of django-tasks-db, under the "
        "same ids, and deletes them there. Run it when no worker of django-tasks-db is "
        "running any more."
    )
    name = "import_tasks_db"
    table = tasks_db.Result
    move_jobs = staticmethod(tasks_db.move_jobs)
