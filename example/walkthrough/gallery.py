"""The part of the walkthrough that is about photographs: sent, awaited, looked at."""

from walkthrough.exhibit import Exhibit
from walkthrough.photographs import photographs
from walkthrough.table import columns

HEAD = (
    *("photograph", "sent", "became", "stored as", "pixels"),
    *("upright", "colours", "metadata"),
)
RIGHT = {1}  # the column of figures


class Gallery:
    """Photographs that are sent through the form, each by a visitor of its own."""

    def __init__(self, say, address):
        self._say = say
        self._exhibits = [Exhibit(photo, address) for photo in photographs()]

    def send(self):
        """Send them all. Raises Failed for a wrong answer."""
        for exhibit in self._exhibits:
            exhibit.send()
        slowest = max(exhibit.seconds for exhibit in self._exhibits)
        self._say(
            f"{len(self._exhibits)} photographs were sent, and each was answered "
            f"within {slowest * 1000:.0f} ms."
        )

    @property
    def accepted(self):
        """How many the form accepted: each has a summary, with or without the photo."""
        return sum(exhibit.is_accepted for exhibit in self._exhibits)

    def look(self):
        """See what became of them; for when the jobs have finished."""
        for exhibit in self._exhibits:
            exhibit.look()

    def table(self):
        """Return the lines of a table with a row for each."""
        return columns([HEAD, *(e.row() for e in self._exhibits)], right=RIGHT)

    def sentences(self):
        """Return a line for each that was turned away: what its sender reads."""
        away = [exhibit for exhibit in self._exhibits if exhibit.sentence]
        return [f"{exhibit.title}: {exhibit.sentence}" for exhibit in away]

    def complaints(self, pdfs):
        """Yield a sentence for everything that is wrong; `pdfs` by the profile's pk."""
        for exhibit in self._exhibits:
            for complaint in exhibit.complaints(pdfs):
                yield f"The photograph {exhibit.title!r} {complaint}."
