"""Why a picture is refused: a code inside the sandbox, a sentence outside of it."""

from dbqueue.imaging.exceptions import ContentRejected
from dbqueue.imaging.policy import ImagePolicy

_SENTENCES = {
    "not_an_image": "This file is not a picture.",
    "format_not_allowed": "Pictures of this format are not accepted here. Please use "
    "one of these: {formats}.",
    "too_many_pixels": "This picture is too large. The limit, in megapixels, is "
    "{megapixels:g}.",
    "too_many_frames": "This animation is too long. The limit of frames is {frames}, "
    "and that of megapixels in all of them together is {total:g}.",
    "damaged": "This picture is damaged or incomplete and cannot be read.",
    "too_complex": "This picture takes too long to process. Please save it again with "
    "another program, or make it smaller.",
    "too_much_memory": "This picture needs too much memory. Please make it smaller.",
    "decoder_crash": "This picture cannot be processed. Please save it again with "
    "another program.",
    "output_too_large": "This picture would become too large a file. Please make it "
    "smaller.",
}
CODES = tuple(_SENTENCES)


class Rejected(Exception):
    """Raised inside the sandbox; the argument is the code."""


class Unreadable(Exception):
    """Raised inside the sandbox when Pillow cannot read the picture."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


def rejection(code: str, policy: ImagePolicy) -> ContentRejected:
    """Return the exception for a code. Raises KeyError for an unknown one."""
    sentence = _SENTENCES[code].format(
        formats=", ".join(policy.formats),
        megapixels=policy.max_pixels / 1_000_000,
        total=policy.max_total_pixels / 1_000_000,
        frames=policy.max_frames,
    )
    return ContentRejected(code, sentence)
