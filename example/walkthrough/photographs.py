"""The photographs that are sent: two, and what cameras and attackers make of them."""

import io
import zlib
from dataclasses import dataclass
from struct import pack

from django.conf import settings
from PIL import Image, ImageCms

from walkthrough import display_p3

# How a photograph ends: the worker saves it or turns it away, or the form does at once.
DONE, REJECTED, REFUSED = "DONE", "REJECTED", "refused"

# How a camera that is held another way stores what it sees, by the Orientation that
# it notes.
_STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# What the photographs tell of their owner; nothing of it may be in what is stored.
PRIVATE = (b"Anna Example", b"do not show around", b"xmpmeta", b"Exif\0")
_COMMENT = "Private, do not show around"
_XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>Anna Example, at home</x:xmpmeta>"
_ORIENTATION, _ARTIST, _GPS = 0x0112, 0x013B, 0x8825
_FRAMES = 12


@dataclass(frozen=True)
class Photograph:
    """A file to send, and what is to become of it.

    `frames` holds the pictures, upright and in sRGB, that it shows; for a file that is
    turned away, `end` says by whom and `sentence` how.
    """

    title: str
    filename: str
    content: bytes
    format: str = ""
    frames: tuple = ()
    end: str = DONE
    sentence: str = ""


def photographs():
    """Return all of them, as they are made on the spot."""
    portrait, coffee = _photo("hopper.jpg"), _photo("coffee.jpg")
    turned = [_turned(portrait, number) for number in range(1, 9)]
    whole = turned[0].content
    return [
        *turned,
        _animated(coffee),
        _cmyk(coffee),
        _wide_gamut(coffee),
        Photograph(
            "cut off",
            "cut-off.jpg",
            whole[: len(whole) * 2 // 5],
            end=REJECTED,
            sentence="damaged or incomplete",
        ),
        Photograph(
            "bomb, 900 megapixels",
            "bomb.png",
            _bomb(30_000),
            end=REJECTED,
            sentence="too large",
        ),
        Photograph(
            "SVG named .jpg",
            "logo.jpg",
            b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
            end=REFUSED,
            sentence="This file is not a picture.",
        ),
    ]


def _photo(name):
    with Image.open(settings.BASE / "photos" / name) as image:
        return image.convert("RGB")


def _turned(picture, orientation):
    turn = _STORED_AS.get(orientation)
    stored = picture if turn is None else picture.transpose(turn)
    title, filename = f"orientation {orientation}", f"orientation-{orientation}.jpg"
    content = _jpeg(stored, orientation)
    return Photograph(title, filename, content, "JPEG", (picture,))


def _cmyk(picture):
    content = _jpeg(picture.convert("CMYK"))
    return Photograph("CMYK", "cmyk.jpg", content, "JPEG", (picture,))


def _wide_gamut(picture):
    profile = display_p3.profile()
    srgb = ImageCms.createProfile("sRGB")
    wide = ImageCms.profileToProfile(picture, srgb, io.BytesIO(profile))
    content = _jpeg(wide, icc_profile=profile)
    return Photograph("Display P3", "display-p3.jpg", content, "JPEG", (picture,))


def _animated(picture):
    """Pan across the picture."""
    small = picture.resize((300, 200))
    frames = [
        small.crop((5 * n, 3 * n, 5 * n + 240, 3 * n + 160)) for n in range(_FRAMES)
    ]
    target = io.BytesIO()
    options = {"duration": 80, "loop": 0, "comment": _COMMENT.encode()}
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:], **options)
    content = target.getvalue()
    return Photograph("animated GIF", "pan.gif", content, "GIF", tuple(frames))


def _jpeg(picture, orientation=1, **options):
    """Return the bytes of a file that tells whose it is and where it was taken."""
    exif = Image.Exif()
    exif[_ORIENTATION], exif[_ARTIST] = orientation, "Anna Example"
    exif.get_ifd(_GPS).update(
        {1: "N", 2: (52.0, 30.0, 58.7), 3: "E", 4: (13.0, 22.0, 39.0)}
    )
    target = io.BytesIO()
    notes = {"exif": exif, "comment": _COMMENT, "xmp": _XMP}
    picture.save(target, "JPEG", quality=92, **notes, **options)
    return target.getvalue()


def _bomb(side):
    """Return a small PNG that would take `side` times `side` pixels of memory."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name, data):
    return pack(">I", len(data)) + name + data + pack(">I", zlib.crc32(name + data))
