"""What dbqueue itself hands on."""

from dbqueue.schedules.declared.declarations import schedule
from dbqueue.schedules.times.base import Cadence
from dbqueue.schedules.times.cadence import At, Cron, Every

__all__ = ["At", "Cadence", "Cron", "Every", "schedule"]
