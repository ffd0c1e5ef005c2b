"""Any picture as upright sRGB, 8 bits a channel, with nothing but its pixels."""

from functools import lru_cache
from io import BytesIO

from PIL import ExifTags, Image, ImageChops, ImageCms

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SRGB = ImageCms.createProfile("sRGB")
_NAMES_OF_SRGB = ("sRGB", "sRGB built-in", "sRGB IEC61966-2.1")


def orientation(image: Image.Image) -> int:
    """Return how the camera was held, 1 to 8; 1 = upright, or unknown."""
    if image.format == "PNG":
        image.load()  # its metadata may follow the pixels
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    # Broken EXIF is not a reason to refuse the picture, and its parser raises whatever
    # a wrong byte leads to: struct.error, SyntaxError, TypeError, …
    except Exception:
        return 1
    return value if value in _TURNS else 1


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return the picture as the camera saw it."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def plain(image: Image.Image) -> Image.Image:
    """Return the loaded picture as L, RGB or RGBA in sRGB, without metadata.

    It may be the same object, changed.
    """
    profile = image.info.get("icc_profile")
    image = _with_known_mode(image)
    if profile:
        image = _through(profile, image)
    if image.mode == "CMYK":
        image = image.convert("RGB")
    # Pillow writes back what it finds here, such as the comment of a JPEG.
    image.info = {}
    return image


def _with_known_mode(image: Image.Image) -> Image.Image:
    if image.mode == "CMYK":
        # Adobe stores ink inverted, and Pillow assumes that every CMYK file is Adobe's.
        return image if "adobe" in image.info else ImageChops.invert(image)
    if image.mode.startswith("I"):
        return _eight_bits(image)
    if image.has_transparency_data:
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.mode == "1":
        return image.convert("L")
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    # convert("L") would cut off all that is brighter than 255 of 65535.
    return image.convert("I").point(lambda value: value / 257).convert("L")


def _through(profile: bytes, image: Image.Image) -> Image.Image:
    try:
        transform = _transform(profile, image.mode)
        if transform is None:
            return image
        seen = ImageCms.applyTransform(image, transform, inPlace=False)
    # Browsers show a picture with a broken or a foreign profile as if it had none.
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image
    assert seen is not None
    return seen.convert("L") if image.mode == "L" else seen


@lru_cache(maxsize=4)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    if ImageCms.getProfileDescription(source).strip() in _NAMES_OF_SRGB:
        return None
    return ImageCms.buildTransform(
        source,
        _SRGB,
        mode,
        "RGBA" if mode == "RGBA" else "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
