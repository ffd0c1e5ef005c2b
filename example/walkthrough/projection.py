"""A film on its way through the site, over a connection that breaks."""

import hashlib
import json
import os
import time

from django.conf import settings

from dbqueue.uploads import uploads_for
from films.models import Film
from walkthrough.browser import Browser
from walkthrough.services import POLL, Failed

TITLE = "The demo's film"
MEGABYTE = 1_000_000
PIECE = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + os.urandom(MEGABYTE - 24)
TUS = {"Tus_Resumable": "1.0.0"}
PATIENCE = 60  # seconds until the site has counted what reached it


class Projection:
    """A film, and the visitor who sends it."""

    def __init__(self, say, address):
        self._say = say
        self._browser = Browser(address)
        self._size = settings.FILM_SIZE * MEGABYTE
        self._film = None

    def send(self):
        """Send it in two halves, and then the form. Raises Failed."""
        self._browser.open("film/")
        given = self._begin()
        half = self._size // 2
        self._break_off(given["tusUrl"], half)
        offset = self._offset(given["tusUrl"])
        began = time.monotonic()
        while offset < half and time.monotonic() < began + PATIENCE:
            time.sleep(POLL)
            offset = self._offset(given["tusUrl"])
        headers = {"Upload_Offset": offset, "Content_Length": self._size - offset}
        self._ask("PATCH", given["tusUrl"], self._pieces(offset), **headers)
        named = json.dumps({"key": given["key"], "name": given["name"]})
        page = self._browser.submit({"title": TITLE, "film": named}, path="film/")
        if TITLE not in page or "Your film is" not in page:
            raise Failed(f"The film should be taken:\n{page}")
        self._say(
            f"A film of {self._size // MEGABYTE} MB was sent; the connection broke "
            f"after {offset // MEGABYTE} MB, and it went on from there."
        )
        self._film = Film.objects.get(title=TITLE)

    def is_over(self):
        """Tell whether a worker has done with it."""
        return not uploads_for(self._film, "film")[0].is_pending

    def look(self):
        """Raise Failed unless what is kept is what was sent."""
        self._film.refresh_from_db()
        if not self._film.film:
            raise Failed(f"The film is not kept: {uploads_for(self._film, 'film')[0]}")
        with self._film.film.open() as file:
            kept = hashlib.file_digest(file, "sha256").hexdigest()
        sent = hashlib.sha256()
        for piece in self._pieces(0):
            sent.update(piece)
        if kept != sent.hexdigest():
            raise Failed("The film that is kept is another than was sent.")

    def _begin(self):
        field = Film._meta.get_field("film").async_field_id
        asked = {"fieldId": field, "filename": "demo.mp4", "size": self._size}
        return self._browser.ask("uploads/generate-upload-url/", asked)

    def _break_off(self, place, half):
        connection = self._browser.connection()
        connection.putrequest("PATCH", place)
        more = {"Upload_Offset": 0, "Content_Length": self._size}
        for name, value in self._headers(more).items():
            connection.putheader(name, value)
        connection.endheaders()
        for piece in self._pieces(0, half):
            connection.send(piece)
        connection.close()

    def _offset(self, place):
        return int(self._ask("HEAD", place)["Upload-Offset"])

    def _pieces(self, begin, end=None):
        """Yield the bytes of the film between two places."""
        end = self._size if end is None else end
        while begin < end:
            start = begin % len(PIECE)
            piece = PIECE[start : start + end - begin]
            yield piece
            begin += len(piece)

    def _ask(self, method, place, body=None, **more):
        connection = self._browser.connection()
        connection.request(method, place, body, self._headers(more))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 400:
            raise Failed(f"{method} {place} was answered with {answer.status}: {text}")
        return answer.headers

    def _headers(self, more):
        kind = {"Content_Type": "application/offset+octet-stream"}
        return self._browser.headers(**{**TUS, **kind, **more})
