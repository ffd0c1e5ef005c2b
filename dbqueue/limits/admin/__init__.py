"""The pages of limits: what each allows, who holds it, who waits, and changes of it."""

from dbqueue.limits.admin import on_job, views

__all__ = ["on_job", "views"]
