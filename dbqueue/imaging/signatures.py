"""What a file is by its first bytes, regardless of its name and declared type."""

import mimetypes
import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dbqueue.imaging.exceptions import ContentRejected
from dbqueue.imaging.formats import FORMATS
from dbqueue.imaging.policy import FilePolicy, ImagePolicy

HEAD = 4096  # bytes that sniff() reads


class Kind(NamedTuple):
    """A type of file."""

    name: str
    content_type: str
    extension: str  # with its dot

    @classmethod
    def of_picture(cls, name: str) -> "Kind":
        return cls(name, FORMATS[name].content_type, FORMATS[name].extension)


_OFFICE = "application/vnd.openxmlformats-officedocument."
_ODF = "application/vnd.oasis.opendocument."
_ZIPPED_ODF = rb".{38}application/vnd\.oasis\.opendocument\."
# What the files of a kind begin with, as a regular expression; the first that matches
# is the answer.
_SIGNATURES = {
    Kind.of_picture("JPEG"): rb"\xff\xd8\xff",
    Kind.of_picture("PNG"): rb"\x89PNG\r\n\x1a\n",
    Kind.of_picture("GIF"): rb"GIF8[79]a",
    Kind.of_picture("WEBP"): rb"RIFF.{4}WEBP",
    Kind("WAV", "audio/wav", ".wav"): rb"RIFF.{4}WAVE",
    Kind("AVI", "video/x-msvideo", ".avi"): rb"RIFF.{4}AVI ",
    Kind("BMP", "image/bmp", ".bmp"): rb"BM.{4}\0{4}",
    Kind("TIFF", "image/tiff", ".tif"): rb"II\*\0|MM\0\*",
    Kind("PSD", "image/vnd.adobe.photoshop", ".psd"): rb"8BPS",
    Kind("ICO", "image/x-icon", ".ico"): rb"\0\0\x01\0",
    Kind("JPEG2000", "image/jp2", ".jp2"): rb"\0\0\0\x0cjP  ",
    Kind("JXL", "image/jxl", ".jxl"): rb"\0\0\0\x0cJXL |\xff\x0a",
    Kind("PDF", "application/pdf", ".pdf"): rb"%PDF-",
    Kind("EPS", "application/postscript", ".eps"): rb"%!PS|\xc5\xd0\xd3\xc6",
    Kind("ODT", _ODF + "text", ".odt"): _ZIPPED_ODF + rb"text",
    Kind("ODS", _ODF + "spreadsheet", ".ods"): _ZIPPED_ODF + rb"spreadsheet",
    Kind("ODP", _ODF + "presentation", ".odp"): _ZIPPED_ODF + rb"presentation",
    Kind("EPUB", "application/epub+zip", ".epub"): rb".{38}application/epub\+zip",
    Kind("ZIP", "application/zip", ".zip"): rb"PK(\x03\x04|\x05\x06)",
    Kind("GZIP", "application/gzip", ".gz"): rb"\x1f\x8b",
    Kind("7Z", "application/x-7z-compressed", ".7z"): rb"7z\xbc\xaf\x27\x1c",
    Kind("RAR", "application/vnd.rar", ".rar"): rb"Rar!\x1a\x07",
    Kind("OLE", "application/x-ole-storage", ".doc"): rb"\xd0\xcf\x11\xe0",
    Kind("RTF", "application/rtf", ".rtf"): rb"\{\\rtf",
    Kind("SQLITE", "application/vnd.sqlite3", ".sqlite3"): rb"SQLite format 3",
    Kind("WEBM", "video/webm", ".webm"): rb"\x1aE\xdf\xa3",
    Kind("OGG", "audio/ogg", ".ogg"): rb"OggS",
    Kind("FLAC", "audio/flac", ".flac"): rb"fLaC",
    Kind("MP3", "audio/mpeg", ".mp3"): rb"ID3|\xff\xfb",
    Kind("ELF", "application/x-executable", ".elf"): rb"\x7fELF",
    Kind("EXE", "application/x-msdownload", ".exe"): rb"MZ",
}
_PATTERNS = [
    (kind, re.compile(begin, re.DOTALL)) for kind, begin in _SIGNATURES.items()
]
# A ZIP that holds one of these in its first entries is an office file.
_OFFICE_FOLDERS = {
    Kind("DOCX", _OFFICE + "wordprocessingml.document", ".docx"): (b"word/",),
    Kind("XLSX", _OFFICE + "spreadsheetml.sheet", ".xlsx"): (b"xl/",),
    Kind("PPTX", _OFFICE + "presentationml.presentation", ".pptx"): (b"ppt/",),
}
# The brands of an ISO media file ("ftyp"); others are MP4.
_BRANDS = {
    Kind.of_picture("AVIF"): (b"avif", b"avis"),
    Kind.of_picture("HEIF"): (
        *(b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
        *(b"mif1", b"msf1"),
    ),
    Kind("MOV", "video/quicktime", ".mov"): (b"qt  ",),
    Kind("M4A", "audio/mp4", ".m4a"): (b"M4A ",),
}
_MP4 = Kind("MP4", "video/mp4", ".mp4")
# What a browser or a server might run; found anywhere in the head of a text.
_PROGRAMS = {
    Kind("PHP", "application/x-php", ".php"): (b"<?php", b"<?="),
    Kind("SVG", "image/svg+xml", ".svg"): (b"<svg",),
    Kind("HTML", "text/html", ".html"): (
        *(b"<!doctype html", b"<html", b"<head", b"<body", b"<script", b"<iframe"),
    ),
}
PROGRAMS = frozenset(kind.name for kind in _PROGRAMS)
_CONTAINERS = ("ZIP", "OLE")  # what many other types are made of, but not these:
_NO_CONTAINERS = ("text/", "image/", "audio/", "video/", "application/json")
_KINDS = (*_SIGNATURES, *_OFFICE_FOLDERS, *_BRANDS, *_PROGRAMS, _MP4)
_EXTENSIONS = frozenset(kind.extension for kind in _KINDS)
_SAME = {
    **{".jpeg": ".jpg", ".jpe": ".jpg", ".tiff": ".tif", ".heif": ".heic"},
    **{".htm": ".html", ".m4v": ".mp4", ".oga": ".ogg", ".ogv": ".ogg"},
}
_TEXT = bytes(range(32, 256)) + b"\t\n\r\f\x1b"


def sniff(head: bytes) -> Kind | None:
    """Return what the first HEAD bytes are known to begin, or None."""
    head = head[:HEAD]
    if head[4:8] == b"ftyp":
        return _branded(head)
    for kind, pattern in _PATTERNS:
        if pattern.match(head):
            return (
                _marked(head, _OFFICE_FOLDERS) or kind if kind.name == "ZIP" else kind
            )
    return _marked(head.lower(), _PROGRAMS)


def check_image_head(head: bytes, policy: ImagePolicy) -> Kind:
    """Return which picture the bytes begin.

    Raises ContentRejected: "not_an_image" or "format_not_allowed".
    """
    kind = sniff(head)
    if not kind or not kind.content_type.startswith("image/") or is_program(kind):
        raise ContentRejected("not_an_image", "This file is not a picture.")
    if kind.name not in policy.formats:
        raise ContentRejected(
            "format_not_allowed",
            f"{kind.name} pictures are not accepted here. Please use one of these: "
            f"{', '.join(policy.formats)}.",
        )
    return kind


def check_file(head: bytes, filename: str, policy: FilePolicy) -> Kind | None:
    """Return what the bytes begin, or None where they do not tell.

    Raises ContentRejected "type_not_allowed".
    """
    kind = sniff(head)
    types = policy.types
    if types is None or any(_fits(type_, head, filename, kind) for type_ in types):
        return kind
    raise ContentRejected(
        "type_not_allowed",
        f"This type of file is not accepted here. Accepted: {', '.join(types)}.",
    )


def extension_of(filename: str, kind: Kind | None, policy: FilePolicy) -> str:
    """Return the ending, with its dot, under which an accepted file is stored.

    It is the name's own, except where a content type allowed the file: a web server
    would serve "evil.html" by its name, regardless of its content.
    """
    own = os.path.splitext(filename)[1].lower()
    if kind is None or policy.types is None or _extension(own) == kind.extension:
        return own
    endings = [type_.lower() for type_ in policy.types if type_.startswith(".")]
    named = filename.lower().endswith(tuple(endings)) and _agrees(own, kind)
    return own if named else kind.extension


def is_program(kind: Kind) -> bool:
    """Tell whether a browser or a server might run such a file."""
    return kind.name in PROGRAMS


def is_text(head: bytes) -> bool:
    """Tell whether the bytes could begin a text in UTF-8 or one byte a letter."""
    return not head.translate(None, _TEXT)


def _fits(type_: str, head: bytes, filename: str, kind: Kind | None) -> bool:
    if type_.startswith("."):
        return filename.lower().endswith(type_.lower()) and _agrees(type_, kind)
    if type_ == "image/*":
        return bool(kind) and kind.name in FORMATS  # type: ignore[union-attr]
    if kind and type_.endswith("/*"):
        return kind.content_type.startswith(type_[:-1])
    if kind:
        return kind.content_type == type_
    # No signature: the name decides, for a text.
    guess = mimetypes.guess_type(filename)[0]
    return guess == type_ and is_text(head) and _extension(filename) not in _EXTENSIONS


def _agrees(ending: str, kind: Kind | None) -> bool:
    extension = _extension(ending)
    if kind is None:
        return extension not in _EXTENSIONS
    if kind.extension == extension:
        return True
    guess = mimetypes.guess_type("a" + ending)[0] or ""
    own = extension in _EXTENSIONS or guess.startswith(_NO_CONTAINERS)
    return kind.name in _CONTAINERS and not own


def _extension(filename: str) -> str:
    extension = "." + filename.lower().rpartition(".")[2]
    return _SAME.get(extension, extension)


def _branded(head: bytes) -> Kind:
    length = min(int.from_bytes(head[:4]), HEAD)
    major, others = head[8:12], head[16:length]
    brands = [major, *(others[at : at + 4] for at in range(0, len(others), 4))]
    # "mif1" may be the brand of either; a file that also lists "avif" is AVIF.
    for kind, names in _BRANDS.items():
        if major in names and not (major in (b"mif1", b"msf1") and _avif(brands)):
            return kind
    return next(iter(_BRANDS)) if _avif(brands) else _MP4


def _avif(brands: Iterable[bytes]) -> bool:
    return any(brand in (b"avif", b"avis") for brand in brands)


def _marked(text: bytes, marks: Mapping[Kind, Iterable[bytes]]) -> Kind | None:
    for kind, any_of in marks.items():
        if any(mark in text for mark in any_of):
            return kind
    return None
