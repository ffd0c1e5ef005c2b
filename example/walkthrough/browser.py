"""What a visitor does with a browser, in a few lines."""

import html
import json
import re
import secrets
import time
from http.client import HTTPConnection
from urllib.error import URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

_TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="([^"]+)"')
_PICTURE = re.compile(r'<img [^>]*?src="([^"]+)"')


class Browser:
    """Keeps cookies, follows redirects, and knows no proxy."""

    def __init__(self, address):
        self._address = address
        self._cookies = HTTPCookieProcessor()
        self._opener = build_opener(ProxyHandler({}), self._cookies)
        self.seconds = 0.0  # the last answer took

    def reaches_the_site(self):
        """Tell whether somebody answers at the address."""
        try:
            return bool(self._open(self._address))
        except URLError:
            return False

    def submit(self, fields, photo=None, path=""):
        """Fill in and send the form; return the text of the page that answers.

        `photo` is the name and the content of a file; `path` leads to another form.
        """
        address = urljoin(self._address, path)
        token = _TOKEN.search(self._open(address).decode())[1]
        fields = {**fields, "csrfmiddlewaretoken": token}
        began = time.monotonic()
        page = self._open(_posted(address, fields, photo)).decode()
        self.seconds = time.monotonic() - began
        return _text(page)

    def look_at_photo(self):
        """Return what the page shows of the photo: its bytes, or else its words."""
        page = self._open(urljoin(self._address, "on-its-way/")).decode()
        picture = _PICTURE.search(page)
        if picture is None:
            return _text(page)
        return self._open(urljoin(self._address, html.unescape(picture[1])))

    def open(self, path):
        """Return the text of a page."""
        return self._open(urljoin(self._address, path)).decode()

    def ask(self, path, content):
        """Send JSON as a script does; return the JSON of the answer."""
        headers = self.headers(Content_Type="application/json")
        del headers["Cookie"]  # the opener has it
        data = json.dumps(content).encode()
        place = urljoin(self._address, path)
        return json.loads(self._open(Request(place, data, headers)))

    def connection(self):
        """Return a connection to the site, for what urllib cannot do."""
        return HTTPConnection(urlsplit(self._address).netloc, timeout=60)

    def headers(self, **more):
        """Return the headers that show who asks, and more of them."""
        known = {cookie.name: cookie.value for cookie in self._cookies.cookiejar}
        cookies = "; ".join(f"{name}={value}" for name, value in known.items())
        named = {name.replace("_", "-"): str(value) for name, value in more.items()}
        return {"Cookie": cookies, "X-CSRFToken": known["csrftoken"], **named}

    def _open(self, request):
        with self._opener.open(request, timeout=30) as answer:
            return answer.read()


def _posted(address, fields, photo):
    boundary = secrets.token_hex(16)
    parts = [_part(f'name="{name}"', value.encode()) for name, value in fields.items()]
    if photo is not None:
        filename, content = photo
        parts.append(_part(f'name="photo"; filename="{filename}"', content))
    mark = f"--{boundary}".encode()
    body = mark + mark.join(parts) + mark + b"--\r\n"
    kind = f"multipart/form-data; boundary={boundary}"
    return Request(address, body, {"Content-Type": kind})


def _part(head, content):
    return (
        f"\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode()
        + content
        + b"\r\n"
    )


def _text(page):
    return html.unescape(re.sub(r"<[^>]*>", "", page))
