"""The admin's pages; Django imports this, and each page registers itself."""

from dbqueue import wings
from dbqueue.admin import jobs, pauses, tasks, workers
from dbqueue.admin.overview import view

__all__ = ["jobs", "pauses", "tasks", "view", "workers"]

wings.modules("admin")
