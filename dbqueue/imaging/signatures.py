"""What a file is by its first bytes, regardless of its name and declared type."""

import mimetypes
import os
from collections.abc import Iterable
from typing import NamedTuple

from dbqueue.imaging.exceptions import ContentRejected
from dbqueue.imaging.formats import FORMATS
from dbqueue.imaging.policy import FilePolicy, ImagePolicy

HEAD = 4096  # bytes that sniff() looks at


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
# (offset, bytes) pairs that must all be there; the first row that fits is the answer.
_SIGNATURES: tuple[tuple[Kind, tuple[tuple[int, bytes], ...]], ...] = (
    (Kind.of_picture("JPEG"), ((0, b"\xff\xd8\xff"),)),
    (Kind.of_picture("PNG"), ((0, b"\x89PNG\r\n\x1a\n"),)),
    (Kind.of_picture("GIF"), ((0, b"GIF87a"),)),
    (Kind.of_picture("GIF"), ((0, b"GIF89a"),)),
    (Kind.of_picture("WEBP"), ((0, b"RIFF"), (8, b"WEBP"))),
    (Kind("WAV", "audio/wav", ".wav"), ((0, b"RIFF"), (8, b"WAVE"))),
    (Kind("AVI", "video/x-msvideo", ".avi"), ((0, b"RIFF"), (8, b"AVI "))),
    (Kind("BMP", "image/bmp", ".bmp"), ((0, b"BM"), (6, b"\0\0\0\0"))),
    (Kind("TIFF", "image/tiff", ".tif"), ((0, b"II*\0"),)),
    (Kind("TIFF", "image/tiff", ".tif"), ((0, b"MM\0*"),)),
    (Kind("PSD", "image/vnd.adobe.photoshop", ".psd"), ((0, b"8BPS"),)),
    (Kind("ICO", "image/x-icon", ".ico"), ((0, b"\0\0\1\0"),)),
    (Kind("JPEG2000", "image/jp2", ".jp2"), ((0, b"\0\0\0\x0cjP  "),)),
    (Kind("JXL", "image/jxl", ".jxl"), ((0, b"\0\0\0\x0cJXL "),)),
    (Kind("JXL", "image/jxl", ".jxl"), ((0, b"\xff\x0a"),)),
    (Kind("PDF", "application/pdf", ".pdf"), ((0, b"%PDF-"),)),
    (Kind("EPS", "application/postscript", ".eps"), ((0, b"%!PS"),)),
    (Kind("EPS", "application/postscript", ".eps"), ((0, b"\xc5\xd0\xd3\xc6"),)),
    (Kind("ODT", _ODF + "text", ".odt"), ((38, _ODF.encode() + b"text"),)),
    (
        Kind("ODS", _ODF + "spreadsheet", ".ods"),
        ((38, _ODF.encode() + b"spreadsheet"),),
    ),
    (
        Kind("ODP", _ODF + "presentation", ".odp"),
        ((38, _ODF.encode() + b"presentation"),),
    ),
    (Kind("EPUB", "application/epub+zip", ".epub"), ((38, b"application/epub+zip"),)),
    (Kind("ZIP", "application/zip", ".zip"), ((0, b"PK\3\4"),)),
    (Kind("ZIP", "application/zip", ".zip"), ((0, b"PK\5\6"),)),
    (Kind("GZIP", "application/gzip", ".gz"), ((0, b"\x1f\x8b"),)),
    (Kind("7Z", "application/x-7z-compressed", ".7z"), ((0, b"7z\xbc\xaf\x27\x1c"),)),
    (Kind("RAR", "application/vnd.rar", ".rar"), ((0, b"Rar!\x1a\x07"),)),
    (Kind("OLE", "application/x-ole-storage", ".doc"), ((0, b"\xd0\xcf\x11\xe0"),)),
    (Kind("RTF", "application/rtf", ".rtf"), ((0, b"{\\rtf"),)),
    (Kind("SQLITE", "application/vnd.sqlite3", ".sqlite3"), ((0, b"SQLite format 3"),)),
    (Kind("WEBM", "video/webm", ".webm"), ((0, b"\x1aE\xdf\xa3"),)),
    (Kind("OGG", "audio/ogg", ".ogg"), ((0, b"OggS"),)),
    (Kind("FLAC", "audio/flac", ".flac"), ((0, b"fLaC"),)),
    (Kind("MP3", "audio/mpeg", ".mp3"), ((0, b"ID3"),)),
    (Kind("MP3", "audio/mpeg", ".mp3"), ((0, b"\xff\xfb"),)),
    (Kind("ELF", "application/x-executable", ".elf"), ((0, b"\x7fELF"),)),
    (Kind("EXE", "application/x-msdownload", ".exe"), ((0, b"MZ"),)),
)
# A ZIP that holds one of these in its first entries is an office file.
_OFFICE_FOLDERS = {
    b"word/": Kind("DOCX", _OFFICE + "wordprocessingml.document", ".docx"),
    b"xl/": Kind("XLSX", _OFFICE + "spreadsheetml.sheet", ".xlsx"),
    b"ppt/": Kind("PPTX", _OFFICE + "presentationml.presentation", ".pptx"),
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
_EXTENSIONS = frozenset(
    [kind.extension for kind, _ in _SIGNATURES]
    + [kind.extension for kind in (*_OFFICE_FOLDERS.values(), *_BRANDS, *_PROGRAMS)]
    + [_MP4.extension]
)
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
    for kind, parts in _SIGNATURES:
        if all(head[at : at + len(part)] == part for at, part in parts):
            return _office(head) or kind if kind.name == "ZIP" else kind
    return _program(head)


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

    It is the name's own, but where a content type let the file in: a web server would
    serve "evil.html" as what it is called, whatever it begins like.
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


def _office(head: bytes) -> Kind | None:
    for folder, kind in _OFFICE_FOLDERS.items():
        if folder in head:
            return kind
    return None


def _program(head: bytes) -> Kind | None:
    text = head.lower()
    for kind, marks in _PROGRAMS.items():
        if any(mark in text for mark in marks):
            return kind
    return None
