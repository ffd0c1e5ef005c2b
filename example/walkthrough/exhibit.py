"""One photograph on its way through the site, and what is to be said of it."""

from people.models import Profile
from people.photos import upload_of
from walkthrough.browser import Browser
from walkthrough.photo_proof import StoredPhoto, pictures_in
from walkthrough.photographs import DONE, REFUSED
from walkthrough.services import Failed
from walkthrough.visitors import photographer


class Exhibit:
    """A photograph, the visitor who sends it, and what became of it."""

    def __init__(self, photograph, address):
        self._photograph = photograph
        self._fields = photographer(photograph.title)
        self._browser = Browser(address)
        self._profile = self._upload = self._stored = None
        self._page = b""
        self.sentence = ""  # why it was turned away, in the words of the page

    @property
    def title(self):
        return self._photograph.title

    @property
    def seconds(self):
        return self._browser.seconds

    @property
    def is_accepted(self):
        return self._photograph.end != REFUSED

    def send(self):
        """Send the form with it. Raises Failed for a wrong answer."""
        photograph = self._photograph
        page = self._browser.submit(
            self._fields, (photograph.filename, photograph.content)
        )
        answer = f"to {self._fields['email']}"
        if not self.is_accepted:
            answer = self.sentence = photograph.sentence
        if answer not in page:
            raise Failed(f"{self.title} should be answered with {answer!r}:\n{page}")

    def look(self):
        """See what became of it, once it has ended."""
        if not self.is_accepted:
            return
        self._profile = Profile.objects.get(email=self._fields["email"])
        self._upload = upload_of(self._profile)
        self._page = self._browser.look_at_photo()
        if self._upload.state == DONE:
            self._stored = StoredPhoto(self._photograph, self._profile, self._upload)
        elif self._upload.error:
            self.sentence = self._upload.error.message

    def row(self):
        """Return the cells of the table."""
        sent = f"{len(self._photograph.content) / 1000:.0f} kB"
        state = self._upload.state if self._upload else REFUSED
        if self._stored is None:
            return (self.title, sent, state, "", "", "", "", "")
        stored = self._stored
        return (
            *(self.title, sent, state, stored.description, stored.dimensions),
            "yes" if stored.is_upright else "NO",
            f"off by {stored.colour_error:.1f}",
            ", ".join(stored.secrets) or "none",
        )

    def complaints(self, pdfs):
        """Yield what is wrong; `pdfs` has the files of the summaries, if any."""
        if not self.is_accepted:
            if Profile.objects.filter(email=self._fields["email"]).exists():
                yield "was refused, but the rest of its form was saved"
            return
        photograph, state = self._photograph, self._upload.state
        if state != photograph.end:
            yield f"should be {photograph.end}, but is {state} {self.sentence}".rstrip()
        elif self._stored:
            yield from self._stored.complaints()
            if not self._stored.is_shown(self._page):
                yield f"is not what the page shows: {self._page[:200]!r}"
        elif (
            photograph.sentence not in self.sentence or self.sentence not in self._page
        ):
            yield f"was turned away with {self.sentence!r}, which the page should say"
        if pdf := pdfs.get(self._profile.pk):
            shown, wanted = pictures_in(pdf), int(state == DONE)
            if shown != wanted:
                yield f"should be {wanted} times in {pdf}, but there are {shown}"
