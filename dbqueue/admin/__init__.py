"""The admin's pages; Django imports this, and each page registers itself."""

from dbqueue import wings
from dbqueue.admin import jobs, workers

__all__ = ["jobs", "workers"]

wings.modules("admin")
