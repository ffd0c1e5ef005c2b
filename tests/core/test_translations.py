import ast
import gettext
import re
from pathlib import Path

import pytest
from django.utils import translation
from django.utils.translation.template import templatize

import dbqueue

LOCALE = Path(dbqueue.__file__).parent / "locale"
LANGUAGES = ["ar", "de", "es", "fr"]
MARKS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy"}


def catalogue(language):
    """Return what the compiled catalogue has, by message."""
    with (LOCALE / language / "LC_MESSAGES" / "django.mo").open("rb") as file:
        found = gettext.GNUTranslations(file)._catalog
    return {key: text for key, text in found.items() if key}


def names(text):
    return set(re.findall(r"%\(\w+\)[sd]|%[srd](?!\w)|<code>", text))


def test_there_is_a_catalogue_of_each_language():
    assert sorted(path.name for path in LOCALE.iterdir()) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_all_messages_with_their_values(language):
    found = catalogue(language)

    messages = {key if isinstance(key, str) else key[0] for key in found}
    others = {k if isinstance(k, str) else k[0] for k in catalogue("de")}
    assert messages == others
    for key, text in found.items():
        message = key if isinstance(key, str) else key[0]
        assert text, message
        assert names(text) == names(message), message


def marked():
    """Return the messages that code and templates mark for translation."""
    folder = LOCALE.parent
    for path in folder.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in MARKS:
                first = call.args[0]
                if isinstance(first, ast.Constant):
                    yield first.value
    for path in folder.rglob("*.html"):
        for line in templatize(path.read_text()).splitlines():
            for text in re.findall(r"n?gettext\((u?['\"].*?['\"])[,)]", line):
                yield ast.literal_eval(text.removeprefix("u"))


def test_a_catalogue_has_all_that_is_marked():
    known = {k if isinstance(k, str) else k[0] for k in catalogue("de")}

    assert {text for text in marked() if text} - known == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_compiled_from_its_source(language):
    source = (LOCALE / language / "LC_MESSAGES" / "django.po").read_text()

    texts = re.findall(r'^msgstr(?:\[\d\])? "(.+)"$', source, re.M)

    compiled = set(catalogue(language).values())
    assert {text.replace('\\"', '"') for text in texts} == compiled


@pytest.mark.django_db
@pytest.mark.parametrize(("language", "words"), [("de", "Übersicht"), ("ar", "نظرة")])
def test_the_admin_speaks_the_language_of_its_user(admin_client, language, words):
    with translation.override(language):
        text = admin_client.get("/admin/dbqueue/").text

    assert words in text
