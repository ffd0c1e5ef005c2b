"""What this wing adds to the moves of jobs; to the work of workers, only if asked."""

from typing import Any

from dbqueue.dialects import hooks
from dbqueue.logs import capture, store


def take_part() -> None:
    """Have the lines written that are kept."""
    wanted: tuple[tuple[list[Any], Any], ...] = (
        (hooks.after_record, store.with_end),
        (hooks.now_and_then, store.while_running),
    )
    for hook, work in wanted:
        if work not in hook:
            hook.append(work)


# Also in processes that run no job.
hooks.after_delete.append(store.forget)
if capture.levels:
    take_part()
