"""Every address of the admin's pages, and every form that is on them.

They are found, not listed: a page that is added is tested as well.
"""

from html.parser import HTMLParser
from urllib.parse import urljoin

from django.contrib import admin
from django.urls import URLResolver, reverse

# What to fill in where an address has a parameter that is no key of a model's row.
NOBODY = "0193a0c0-0000-7000-8000-000000000009"  # where the test has no row
SAMPLES = {
    "queue": "mail",
    "task": "tests.tasks.echo",
    "limit": "two",
}


def names():
    """Return the names of all addresses of the app, each with its parameters."""
    found = {}
    for pattern in _patterns(admin.site.get_urls()):
        if (pattern.name or "").startswith("dbqueue_"):
            found[pattern.name.removeprefix("dbqueue_")] = [*pattern.pattern.converters]
    return found


def every(rows):
    """Return all addresses by their names; `rows` has a key for each model's name."""
    return {
        name: reverse(
            f"admin:dbqueue_{name}", args=[_sample(name, rows)] if has else []
        )
        for name, has in names().items()
    }


def forms(text, address):
    """Return address and data of all that could be posted by the forms of a page."""
    parser = _Forms()
    parser.feed(text)
    for form in parser.found:
        for button in form.buttons or [{}]:
            target = button.get("formaction") or form.action or address
            data = dict(form.data)
            if button.get("name"):
                data[button["name"]] = button.get("value") or ""
            for action in form.actions or [None]:
                yield (
                    urljoin(address, target),
                    data | ({} if action is None else {"action": action}),
                )


def _patterns(urls):
    for url in urls:
        if isinstance(url, URLResolver):
            yield from _patterns(url.url_patterns)
        else:
            yield url


def _sample(name, rows):
    if name in SAMPLES:
        return SAMPLES[name]
    return rows.get(name.partition("_")[0], NOBODY)


class _Form:
    def __init__(self, action):
        self.action = action
        self.data = {}
        self.buttons, self.actions = [], []


class _Forms(HTMLParser):
    """Collects the forms that are posted, with all boxes ticked."""

    def __init__(self):
        super().__init__()
        self.found, self._form = [], None
        self._select = self._area = ""

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "form" and given.get("method", "").lower() == "post":
            self._form = _Form(given.get("action"))
            self.found.append(self._form)
        elif self._form is not None:
            self._take(tag, given, given.get("name"), given.get("value", ""))

    def _take(self, tag, given, name, value):
        form = self._form
        if tag == "button" or (tag, given.get("type")) == ("input", "submit"):
            form.buttons.append(given)
        elif tag == "input" and name:
            form.data[name] = value or ("on" if given.get("type") == "checkbox" else "")
        elif tag == "textarea" and name:
            self._area, form.data[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select == "action":
            form.actions += [value] if value else []
        elif tag == "option" and self._select:
            if "selected" in given:
                form.data[self._select] = value
            form.data.setdefault(self._select, value)

    def handle_data(self, data):
        if self._area:
            self._form.data[self._area] += data

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""
