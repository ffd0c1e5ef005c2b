"""Filters for text in any script and on any colour."""

import unicodedata

from django import template

register = template.Library()


@register.filter
def direction(text):
    """Return "rtl" where the first letter is Arabic, Hebrew or alike, else "ltr".

    WeasyPrint does not know dir="auto".
    """
    kinds = (unicodedata.bidirectional(character) for character in text)
    first = next((kind for kind in kinds if kind in ("L", "R", "AL")), "L")
    return "ltr" if first == "L" else "rtl"


@register.filter
def ink(colour):
    """Return the text colour, dark or white, that can be read on "#rrggbb"."""
    # How brightly an eye sees red, green and blue (ITU-R BT.601).
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#14181f" if 0.299 * red + 0.587 * green + 0.114 * blue > 150 else "#ffffff"
