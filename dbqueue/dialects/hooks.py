"""What wings add to the moves of a job; an empty list costs one look."""

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from uuid import UUID

from dbqueue.dialects.columns import HeldJob
from dbqueue.dialects.rows import MovedJob, Opened, Outcome, Target

# Whether jobs are to be claimed here that would be left to others, as in a test.
here = ContextVar("here", default=False)
# Called before each claim with the database's alias and what would be claimed from;
# returns what may be.
before_claim: list[Callable[[str, Sequence[Target]], Sequence[Target]]] = []
# Called inside the commit that records the ends of attempts, with the database's alias
# and the outcomes whose claim still held.
after_record: list[Callable[[str, Sequence[Outcome]], None]] = []
# Called inside a commit that ends jobs from outside of any attempt, as it cancels those
# that wait or ends those that were lost, with the database's alias and the jobs.
after_end: list[Callable[[str, Sequence[MovedJob | HeldJob]], None]] = []
# Called every few seconds by each child's loop, in no transaction, with the database's
# alias.
now_and_then: list[Callable[[str], None]] = []
# Called inside the commit that deletes records of the history, with the database's
# alias and the ids of their jobs.
after_delete: list[Callable[[str, Collection[UUID]], None]] = []
# Called inside a commit with the database's alias and keys of gates, which are lanes or
# fair groups: there was an end, or something new, and room may be for what is BLOCKED.
open_gates: list[Callable[[str, Collection[str]], Opened]] = []
# Called now and then, in no transaction, with the database's alias: finds the gates
# that have room and BLOCKED jobs, whatever news was lost, and opens them.
sweep_gates: list[Callable[[str], Opened]] = []
# Called inside the commit that pauses or resumes, with the database's alias and the key
# of the Pause, before anybody else sees it.
after_pause: list[Callable[[str, str], None]] = []
