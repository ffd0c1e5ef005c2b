"""The admin's pages; Django imports this, and each page registers itself."""

from dbqueue import wings
from dbqueue.admin import jobs, tasks, workers
from dbqueue.admin.overview import view

__all__ = ["jobs", "tasks", "view", "workers"]

wings.modules("admin")
