"""What wings add to the moves of a job; an empty list costs one look."""

from collections.abc import Callable, Sequence

from dbqueue.dialects.rows import Outcome, Target

# Called before each claim with the database's alias and what would be claimed from;
# returns what may be.
before_claim: list[Callable[[str, Sequence[Target]], Sequence[Target]]] = []
# Called inside the commit that records the ends of attempts, with the database's alias
# and the outcomes whose claim still held.
after_record: list[Callable[[str, Sequence[Outcome]], None]] = []
