"""What JobResult calls of this wing."""

from dbqueue.logs.lines import LogLine
from dbqueue.logs.store import of_result

__all__ = ["LogLine", "logs"]

logs = of_result
