"""Pictures that are refused, how, and how soon."""

import struct
import time
import zlib

import pytest
from PIL import Image

from dbqueue.imaging.exceptions import ContentRejected, SandboxFailed
from dbqueue.imaging.policy import Variant
from dbqueue.imaging.sandbox import Limits
from tests.imaging import pictures
from tests.imaging.pictures import animation, data, png_chunk, quarters


@pytest.fixture
def reject(render):
    """Return reject(data, …): the code and the sentence, which came within 10 s."""

    def reject(*args, **kwargs):
        began = time.monotonic()
        with pytest.raises(ContentRejected) as caught:
            render(*args, **kwargs)
        assert time.monotonic() - began < 10
        assert caught.value.message.endswith(".")
        return caught.value.code

    return reject


@pytest.mark.parametrize(
    "content",
    [
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" onload="x()"/>',
        b"<!DOCTYPE html><script>alert(1)</script>",
        b"<?php system($_GET[0]);",
        b"just text",
        b"%PDF-1.7",
        b"\0" * 5000,
        b"\xff",
    ],
)
def test_what_is_not_a_picture_is_not_taken_for_one(reject, content):
    assert reject(content) == "not_an_image"


@pytest.mark.parametrize("format", ["TIFF", "PPM", "BMP", "ICO", "EPS", "PCX", "TGA"])
def test_a_format_that_is_not_on_the_list_meets_no_decoder(reject, format):
    assert reject(data(quarters((64, 64)), format)) in (
        "not_an_image",
        "format_not_allowed",
    )


def test_a_photoshop_file_is_named_as_not_accepted(reject):
    assert reject(b"8BPS\0\1" + bytes(100)) == "format_not_allowed"


def test_a_format_the_policy_leaves_out_is_refused(render):
    with pytest.raises(ContentRejected, match="use one of these: JPEG, PNG") as caught:
        render(data(quarters(), "GIF"), formats=["JPEG", "PNG"])

    assert caught.value.code == "format_not_allowed"


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
class TestOfEveryFormat:
    @pytest.mark.parametrize("share", [0.3, 0.9])
    def test_of_every_format_half_a_picture_is_damaged(self, reject, format, share):
        whole = data(pictures.noise((200, 150)), format)

        assert reject(whole[: int(len(whole) * share)]) == "damaged"

    def test_of_every_format_a_head_without_a_body_is_damaged(self, reject, format):
        assert reject(data(quarters(), format)[:20] + bytes(500)) == "damaged"

    def test_of_every_format_more_pixels_than_allowed_are_too_many(
        self, reject, format
    ):
        picture = data(quarters((200, 100)), format)

        assert reject(picture, max_pixels=19_999) == "too_many_pixels"


class TestAWebp:
    @pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"x"}])
    def test_a_webp_that_claims_268_megapixels_is_too_large(self, reject, options):
        webp = bytearray(data(Image.new("RGB", (64, 48)), "WEBP", **options))
        at, claim = {
            b"VP8 ": (26, b"\xff\x3f\xff\x3f"),
            b"VP8L": (21, b"\xff\xff\xff\x0f"),
            b"VP8X": (24, b"\xfe\x3f\0\xfe\x3f\0"),
        }[bytes(webp[12:16])]
        webp[at : at + len(claim)] = claim

        assert reject(bytes(webp)) == "too_many_pixels"

    @pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"x"}])
    def test_a_webp_may_have_just_as_many_pixels_as_allowed(self, render, options):
        webp = data(Image.new("RGB", (64, 48)), "WEBP", **options)

        assert render(webp, max_pixels=64 * 48).original.width == 64


class TestAnAnimation:
    @pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF"])
    @pytest.mark.parametrize("original", ["keep", "reencode"])
    def test_an_animation_may_have_too_many_frames(self, reject, format, original):
        moving = animation(format)

        code = reject(moving, max_frames=3, original=original)

        assert code == "too_many_frames"

    def test_an_animation_of_five_thousand_frames_is_refused(self, reject):
        assert reject(pictures.long_gif(5000)) == "too_many_frames"

    def test_an_animation_may_have_too_many_pixels_in_all(self, reject):
        size = 4 * 64 * 48

        assert reject(animation(), max_total_pixels=size - 1) == "too_many_frames"

    @pytest.mark.parametrize("original", ["keep", "reencode"])
    def test_an_animation_is_damaged_by_its_last_frame(self, reject, original):
        moving = animation("WEBP", count=6, size=(200, 150))
        at = moving.rindex(b"ANMF") + 40

        assert reject(moving[:at] + bytes(60) + moving[at + 60 :], original=original)


class TestAPng:
    def test_a_png_with_a_wrong_checksum_is_damaged(self, reject):
        png = bytearray(data(quarters(), "PNG"))
        png[png.index(b"IDAT") - 5] ^= 0xFF  # the header's

        assert reject(bytes(png)) == "damaged"

    def test_a_png_with_a_wrong_checksum_of_its_pixels_is_damaged(self, reject):
        png = bytearray(data(quarters(), "PNG"))
        length = struct.unpack(">I", png[png.index(b"IDAT") - 4 :][:4])[0]
        png[png.index(b"IDAT") + 4 + length] ^= 0xFF

        assert reject(bytes(png)) == "damaged"

    def test_a_png_that_unfolds_to_88_megapixels_is_too_large(self, reject):
        assert reject(pictures.png_bomb()) == "too_many_pixels"

    def test_a_png_that_claims_four_thousand_million_pixels_is_too_large(self, reject):
        png = bytearray(data(quarters(), "PNG"))
        png[16:24] = struct.pack(">II", 65_535, 65_535)
        png[29:33] = struct.pack(">I", zlib.crc32(png[12:29]))

        assert reject(bytes(png)) == "too_many_pixels"

    def test_a_png_with_a_hundred_megabytes_of_text_is_refused(self, reject):
        assert reject(pictures.text_bomb(100_000_000)) == "damaged"

    def test_a_png_that_promises_frames_and_has_none_is_what_its_pixels_show(
        self, render
    ):
        png = pictures.png_with(png_chunk(b"acTL", struct.pack(">II", 0, 0)))

        original = render(png).original

        assert original.frames == 1
        assert b"acTL" not in original.path.read_bytes()

    def test_a_png_that_has_fewer_frames_than_it_promises_is_damaged(self, reject):
        moving = animation("PNG", count=4)
        at = moving.index(b"acTL") + 4
        promise = b"acTL" + struct.pack(">II", 9, 0)
        more = moving[: at - 4] + promise + struct.pack(">I", zlib.crc32(promise))

        assert reject(more + moving[at + 12 :]) == "damaged"


class TestALimit:
    def test_a_limit_of_time_makes_a_picture_too_complex(self, reject):
        heavy = data(pictures.noise((5000, 4000)), quality=95)
        variant = Variant(5000, format="AVIF", quality=100)
        limits = Limits(cpu_seconds=1)

        assert reject(heavy, {"it": variant}, limits=limits) == "too_complex"

    def test_a_machine_too_slow_for_the_wall_clock_is_not_the_pictures_fault(
        self, render
    ):
        heavy = data(pictures.noise((4000, 3000)))
        limits = Limits(wall_seconds=0.1)
        variants = {"it": Variant(4000, format="AVIF")}

        with pytest.raises(SandboxFailed, match="of the 30 seconds of processor time"):
            render(heavy, variants, limits=limits)

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
    def test_a_limit_of_memory_is_told_as_such(self, reject, format):
        heavy = data(quarters((4000, 3000)), format)
        limits = Limits(memory=20_000_000)

        assert reject(heavy, limits=limits) == "too_much_memory"

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "GIF"])
    def test_a_limit_of_the_output_is_told_as_such(self, reject, format):
        picture = data(pictures.noise((400, 300)), format)
        limits = Limits(output_bytes=1000)

        assert reject(picture, limits=limits) == "output_too_large"

    def test_a_limit_of_the_output_holds_for_what_is_kept(self, reject):
        picture = data(pictures.noise((400, 300)))
        limits = Limits(output_bytes=1000)

        code = reject(picture, limits=limits, original="keep")

        assert code == "output_too_large"
