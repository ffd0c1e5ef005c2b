"""What a visitor does with a browser, in a few lines."""

import html
import re
import time
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')


class Browser:
    """Keeps cookies, follows redirects, and knows no proxy."""

    def __init__(self, address):
        self._address = address
        self._opener = build_opener(ProxyHandler({}), HTTPCookieProcessor())
        self.seconds = 0.0  # the last answer took

    def reaches_the_site(self):
        """Tell whether somebody answers at the address."""
        try:
            return bool(self._get())
        except URLError:
            return False

    def submit(self, fields):
        """Fill in and send the form; return the text of the page that answers."""
        token = _TOKEN.search(self._get())[1]
        began = time.monotonic()
        page = self._get({**fields, "csrfmiddlewaretoken": token})
        self.seconds = time.monotonic() - began
        return html.unescape(re.sub(r"<[^>]*>", "", page))

    def _get(self, fields=None):
        data = urlencode(fields).encode() if fields else None
        with self._opener.open(self._address, data, timeout=30) as answer:
            return answer.read().decode()
