"""What dbqueue itself hands on."""

from dbqueue.schedules.declared.declarations import schedule
from dbqueue.schedules.times.cadence import At, Cron, Every

__all__ = ["At", "Cron", "Every", "schedule"]
