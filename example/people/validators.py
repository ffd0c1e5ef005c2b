"""What a name, a line of text and a colour must be."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

validate_colour = RegexValidator(
    r"^#[0-9a-fA-F]{6}\Z", "Please give a colour such as #1f7a6d."
)


def validate_line(text):
    """Refuse line breaks and other control characters: a mail header cannot hold them.

    Raises ValidationError.
    """
    if re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text):
        raise ValidationError("Please keep this on one line.")


def validate_name(name):
    """Refuse a name that shows nothing, such as one of invisible characters only.

    Raises ValidationError.
    """
    if not any(character.isalnum() for character in name):
        raise ValidationError("Please give a name with at least one letter.")
