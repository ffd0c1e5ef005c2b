"""Pictures made in code: good ones, odd ones, and such as nobody should open."""

import io
import struct
import zlib

from PIL import Image, ImageCms, ImageDraw, ImageOps, PngImagePlugin

RED, GREEN, BLUE, YELLOW = (
    (220, 30, 30),
    (30, 160, 60),
    (40, 60, 200),
    (240, 210, 40),
)
CORNERS = (RED, GREEN, BLUE, YELLOW)  # as one reads: two above, two below

# What undoes the turn that each EXIF orientation asks for.
_UNTURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
_ORIENTATION, _DESCRIPTION, _GPS = 0x0112, 0x010E, 0x8825


def quarters(size=(96, 64), colours=CORNERS, mode="RGB"):
    """Return a picture of four colours that tells above from below, left from right."""
    image = Image.new(mode, size, colours[0])
    width, height = size
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), colours[1])
    draw.rectangle((0, height // 2, width // 2 - 1, height), colours[2])
    draw.rectangle((width // 2, height // 2, width, height), colours[3])
    return image


def noise(size, mode="RGB"):
    """Return a picture that no encoder makes small, and always the same."""
    small = bytes((i * i * 7 + i // 3) % 251 for i in range(48 * 48 * 3))
    return Image.frombytes("RGB", (48, 48), small).resize(size).convert(mode)


def data(image, format="JPEG", **options):
    """Return the bytes of the picture as a file."""
    target = io.BytesIO()
    image.save(target, format, **options)
    return target.getvalue()


def read(path):
    """Return the picture, decoded."""
    image = Image.open(io.BytesIO(path.read_bytes()))
    image.load()
    return image


def frames(path):
    """Return (RGBA picture, milliseconds) of each frame, as a viewer shows them."""
    with Image.open(path) as image:
        shown = []
        for index in range(image.n_frames):
            image.seek(index)
            shown.append((image.convert("RGBA"), image.info.get("duration")))
        return shown


def corners(image):
    """Return the colours in the middle of the four quarters."""
    width, height = image.size
    return tuple(
        image.convert("RGB").getpixel((width * x // 4, height * y // 4))
        for y in (1, 3)
        for x in (1, 3)
    )


def near(colours, others, tolerance=12):
    """Tell whether no channel of any colour is further off than the tolerance."""
    return all(
        abs(a - b) <= tolerance
        for colour, other in zip(colours, others, strict=True)
        for a, b in zip(colour, other, strict=True)
    )


def held(orientation, size=(96, 64)):
    """Return a JPEG as a camera held so stores it."""
    image = quarters(size)
    if orientation in _UNTURNED:
        image = image.transpose(_UNTURNED[orientation])
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return data(image, exif=exif, quality=95)


SECRETS = (b"SECRET-NOTE", b"SECRET-COMMENT", b"SECRET-XMP", b"SECRET-MAKER", b"GPS")


def telltale():
    """Return a JPEG that says where it was taken, and by whom, in all ways it can."""
    exif = Image.Exif()
    exif[_DESCRIPTION] = "SECRET-NOTE"
    exif[_ORIENTATION] = 6
    exif.get_ifd(_GPS).update({1: "N", 2: (47.0, 22.0, 11.0), 29: "SECRET-MAKER"})
    thumbnail = data(quarters((16, 16)))
    return data(
        quarters(),
        exif=exif.tobytes() + b"SECRET-MAKER" + thumbnail,
        comment=b"SECRET-COMMENT GPS",
        xmp=b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET-XMP</x:xmpmeta>",
    )


def cmyk(*, adobe):
    """Return a CMYK JPEG, its ink inverted and marked as Adobe's, or neither."""
    image = quarters().convert("CMYK")
    if adobe:
        return data(image, quality=95)
    # Pillow inverts on the way out, too.
    inverted = Image.merge("CMYK", [ImageOps.invert(band) for band in image.split()])
    return _without_adobe(data(inverted, quality=95))


def _without_adobe(jpeg):
    at = jpeg.index(b"\xff\xee")
    length = int.from_bytes(jpeg[at + 2 : at + 4])
    return jpeg[:at] + jpeg[at + 2 + length :]


# Red, green and blue in XYZ under D50, and the gamma.
DISPLAY_P3 = (
    "Wide P3",
    ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189)),
    2.2,
)
PROPHOTO = ("Wide ROMM", ((0.79767, 0.28804, 0.0), (0.13519, 0.71187, 0.0)), 1.8)
_WHITE = (0.96420, 1.0, 0.82491)


def profile(name, primaries, gamma):
    """Return an ICC profile of version 2 with these primaries."""
    red, green = primaries
    blue = tuple(w - r - g for w, r, g in zip(_WHITE, red, green, strict=True))
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    text = name.encode() + b"\0"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz(_WHITE),
        **{b"rXYZ": _xyz(red), b"gXYZ": _xyz(green), b"bXYZ": _xyz(blue)},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += tag + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I4sI", start + len(body), bytes(4), 0x02100000)
    header += b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    header += b"".join(struct.pack(">i", round(value * 65536)) for value in _WHITE)
    return header.ljust(128, b"\0") + table + body


def _xyz(values):
    numbers = struct.pack(">3i", *(round(value * 65536) for value in values))
    return b"XYZ " + bytes(4) + numbers


def in_profile(icc, image=None):
    """Return the picture in the colours of a profile, as a camera stores it."""
    return ImageCms.profileToProfile(
        image or quarters(),
        ImageCms.createProfile("sRGB"),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )


def animation(format="GIF", count=4, size=(64, 48), *, background=(255, 255, 255, 0)):
    """Return a square that wanders over the background, for longer with each frame."""
    pictures = []
    for index in range(count):
        image = Image.new("RGBA", size, background)
        left = index * size[0] // count
        ImageDraw.Draw(image).rectangle(
            (left, 8, left + 12, 24), (*CORNERS[index % 4], 255)
        )
        pictures.append(image)
    options = {"disposal": 2} if format == "GIF" else {}
    if format in ("WEBP", "AVIF"):
        options["quality"] = 95
    if format != "AVIF":
        options["loop"] = 3
    return data(
        pictures[0],
        format,
        save_all=True,
        append_images=pictures[1:],
        duration=durations(count),
        **options,
    )


def durations(count):
    """Return the milliseconds of each frame of animation()."""
    return [100 + 40 * index for index in range(count)]


def long_gif(count):
    """Return a GIF of so many frames of one pixel."""
    first = data(Image.new("P", (1, 1)), "GIF")
    start = first.index(b",")
    return first[:start] + count * first[start:-1] + b";"


def png_chunk(name, content):
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png_with(chunk, image=None):
    """Return a PNG with one more chunk behind its header."""
    png = data(image or quarters(), "PNG")
    return png[:33] + chunk + png[33:]


def png_bomb(side=9400):
    """Return a small PNG that unfolds to side x side pixels of four channels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)
    packer = zlib.compressobj(9)
    line = bytes(1 + 4 * side)
    pixels = b"".join(packer.compress(line) for _ in range(side)) + packer.flush()
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*part) for part in parts)


def text_bomb(size):
    """Return a PNG whose text unfolds to so many bytes."""
    return png_with(png_chunk(b"zTXt", b"note\0\0" + zlib.compress(bytes(size), 9)))


def mpo():
    """Return a photo with a second picture inside, as phones write it."""
    return data(quarters(), "MPO", save_all=True, append_images=[quarters((48, 32))])


def png_text(**texts):
    info = PngImagePlugin.PngInfo()
    for name, text in texts.items():
        info.add_text(name, text)
    return info
