"""What an entry of --queues says: a queue or a pattern, and its slots."""

from collections.abc import Collection, Sequence

from django.core.management.base import CommandError

from dbqueue.dialects.scan import matches


def slots_of(text: str, known: Collection[str]) -> tuple[str, int | None]:
    """Return what an entry of --queues names, and the slots that it has of its own."""
    name, colon, slots = text.rpartition(":")
    if text in known or not colon or not (slots.isdecimal() or not slots):
        return text, None
    if not name or (slots and int(slots) < 1):
        raise CommandError(
            f"--queues {text!r} gives a queue no slots. Give it one, as in "
            f"'{name or 'mail'}:1'; or leave out a queue by --exclude."
        )
    return name, int(slots) if slots else None


def demand_places(pairs: Sequence[tuple[str, int | None]]) -> None:
    """Raise CommandError for an entry of --queues whose queues all are another's."""
    for name, slots in pairs:
        for other, taken in pairs:
            if slots is None and taken and matches(name, other):
                raise CommandError(
                    f"--queues {name!r} has no places: all its jobs run in the slots "
                    f"of '{other}:{taken}'. Give it slots before that, as in "
                    f"'{name}:1'."
                )
