"""Pages are read on a code host, too: as plain Markdown, with links that lead there."""

import re
from collections import Counter

import pytest

from tests.settings import BASE

ROOT = BASE.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in PAGES if "_build" not in page.parts]

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TARGET = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)


def prose(page):
    """Return the text of the page without its blocks of code."""
    return _FENCE.sub("", page.read_text())


def anchors(page):
    """Return the fragments by which parts of the page are reached."""
    text, seen = prose(page), Counter()
    found = {target.lower() for target in _TARGET.findall(text)}
    for title in _HEADING.findall(text):
        slug = re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page):
    for link in _LINK.findall(_CODE.sub("code", prose(page))):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_no_roles_which_a_code_host_would_show_raw(page):
    assert re.findall(r"\{[a-z:]+\}`[^`]*`", prose(page)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_no_links_that_only_sphinx_gives_a_text(page):
    assert "[](" not in prose(page)
