"""What files are taken for by their first bytes."""

import io
import zipfile

import pytest

from dbqueue.imaging.exceptions import ContentRejected
from dbqueue.imaging.policy import FilePolicy, ImagePolicy
from dbqueue.imaging.signatures import HEAD, check_file, check_image_head, sniff
from tests.imaging.pictures import data, quarters


def zipped(*names, content="x", first=None):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        if first:
            archive.writestr("mimetype", first)
        for name in names:
            archive.writestr(name, content)
    return target.getvalue()


def branded(*brands):
    body = b"".join([brands[0], bytes(4), *brands])
    return (8 + len(body)).to_bytes(4) + b"ftyp" + body + b"\0\0\0\x08mdat"


ODT = "application/vnd.oasis.opendocument.text"
KNOWN = {
    **{name: data(quarters(), name) for name in ("JPEG", "PNG", "GIF", "WEBP", "AVIF")},
    "HEIF": branded(b"heic", b"mif1"),
    "MP4": branded(b"isom", b"avc1"),
    "MOV": branded(b"qt  "),
    "TIFF": data(quarters(), "TIFF"),
    "BMP": data(quarters(), "BMP"),
    "ICO": data(quarters((16, 16)), "ICO"),
    "PDF": b"%PDF-1.7\n",
    "ZIP": zipped("a.txt"),
    "DOCX": zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"),
    "XLSX": zipped("[Content_Types].xml", "xl/workbook.xml"),
    "ODT": zipped("content.xml", first=ODT),
    "GZIP": b"\x1f\x8b\x08\0",
    "WEBM": b"\x1aE\xdf\xa3\x01",
    "MP3": b"ID3\x04\0",
    "SVG": b'<?xml version="1.0"?>\n<!-- a --><SVG xmlns="http://www.w3.org/2000/svg">',
    "HTML": b"\n\n<!doctype HTML><p>",
    "PHP": b"GIF? no: <?php system(1);",
}


@pytest.mark.parametrize("name", KNOWN)
def test_a_file_is_known_by_its_first_bytes(name):
    assert sniff(KNOWN[name]).name == name


@pytest.mark.parametrize(
    ("brands", "name"),
    [
        ((b"avif",), "AVIF"),
        ((b"avis", b"msf1"), "AVIF"),
        ((b"mif1", b"heic"), "HEIF"),
        ((b"mif1", b"avif"), "AVIF"),
        ((b"msf1", b"hevc"), "HEIF"),
        ((b"isom", b"avif"), "AVIF"),
        ((b"mp42", b"isom"), "MP4"),
    ],
)
def test_relatives_of_mp4_are_told_apart_by_their_brands(brands, name):
    assert sniff(branded(*brands)).name == name


@pytest.mark.parametrize("head", [b"", b"a,b\n1,2\n", b"\0" * HEAD, b"\0\0\0\x08ftyp"])
def test_what_has_no_signature_is_nothing_or_harmless(head):
    kind = sniff(head)

    assert kind is None or kind.name == "MP4"


@pytest.mark.parametrize("name", ["PDF", "ZIP", "SVG", "HTML", "PHP", "MP4"])
def test_a_picture_is_expected_where_there_is_none(name):
    with pytest.raises(ContentRejected, match="not a picture") as caught:
        check_image_head(KNOWN[name], ImagePolicy())

    assert caught.value.code == "not_an_image"


@pytest.mark.parametrize("name", ["TIFF", "BMP", "ICO"])
def test_a_picture_of_another_format_is_named(name):
    with pytest.raises(ContentRejected, match=f"^{name} pictures") as caught:
        check_image_head(KNOWN[name], ImagePolicy())

    assert caught.value.code == "format_not_allowed"


class TestAFile:
    @pytest.mark.parametrize(
        ("types", "filename", "head"),
        [
            (["application/pdf"], "a.pdf", KNOWN["PDF"]),
            (["application/pdf"], "no ending", KNOWN["PDF"]),
            (["image/*"], "a.bin", KNOWN["PNG"]),
            (["text/plain", "image/*"], "a.JPG", KNOWN["JPEG"]),
            ([".jpg"], "a.jpg", KNOWN["JPEG"]),
            ([".jpeg"], "a.jpeg", KNOWN["JPEG"]),
            ([".csv"], "table.CSV", b"a,b\n"),
            ([".csv"], "empty.csv", b""),
            (["text/csv"], "table.csv", "ä,b\n".encode()),
            ([".docx"], "a.docx", KNOWN["DOCX"]),
            ([".xls"], "a.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
            ([".apk"], "a.apk", KNOWN["ZIP"]),
            ([".tar.gz"], "a.tar.gz", KNOWN["GZIP"]),
            ([".svg"], "a.svg", KNOWN["SVG"]),
            (["image/svg+xml"], "a.svg", KNOWN["SVG"]),
            (None, "a.exe", b"MZ"),
        ],
    )
    def test_a_file_is_taken_where_name_and_content_agree(self, types, filename, head):
        check_file(head, filename, FilePolicy(types=types))

    @pytest.mark.parametrize(
        ("types", "filename", "head"),
        [
            (["application/pdf"], "a.pdf", b"no PDF"),
            (["application/pdf"], "a.pdf", KNOWN["HTML"]),
            (["image/*"], "a.svg", KNOWN["SVG"]),
            (["image/*"], "a.png", KNOWN["PHP"]),
            (["image/*"], "a.tif", KNOWN["TIFF"]),
            ([".csv"], "a.txt", b"a,b\n"),
            ([".csv"], "a.csv", KNOWN["ZIP"]),
            ([".csv"], "a.csv", KNOWN["HTML"]),
            ([".csv"], "csv", b"a,b\n"),
            ([".pdf"], "a.pdf", b"no PDF"),
            ([".docx"], "a.docx", KNOWN["XLSX"]),
            ([".png"], "a.png", KNOWN["JPEG"]),
            (["text/plain"], "a.txt", b"\0binary"),
            (["text/plain"], "a.txt", KNOWN["HTML"]),
            (["text/html"], "a.html", b"no HTML"),
        ],
    )
    def test_a_file_is_refused_where_name_and_content_do_not_agree(
        self, types, filename, head
    ):
        with pytest.raises(ContentRejected) as caught:
            check_file(head, filename, FilePolicy(types=types))

        assert caught.value.code == "type_not_allowed"
        assert types[0] in caught.value.message
