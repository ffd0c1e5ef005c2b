"""What becomes of pictures that are as they should be."""

import pytest
from PIL import Image

from dbqueue.imaging.child.encoding import jpeg_quality
from dbqueue.imaging.policy import Variant
from tests.imaging import pictures
from tests.imaging.pictures import CORNERS, corners, data, near, quarters, read

STILL = ("JPEG", "PNG", "GIF", "WEBP", "AVIF")


class TestAnOriginal:
    @pytest.mark.parametrize("format", STILL)
    def test_an_original_keeps_its_format_and_looks(self, render, format):
        original = render(data(quarters(), format)).original

        assert original.format == format
        assert (original.width, original.height, original.frames) == (96, 64, 1)
        assert original.size == original.path.stat().st_size
        assert original.path.suffix == original.extension
        assert read(original.path).format == format
        assert near(corners(read(original.path)), CORNERS)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_an_original_ends_upright(self, render, orientation):
        rendered = render(pictures.held(orientation), {"small": Variant(48)})

        for picture, size in (
            (rendered.original, (96, 64)),
            (rendered.variants["small"], (48, 32)),
        ):
            image = read(picture.path)
            assert image.size == (picture.width, picture.height) == size
            assert near(corners(image), CORNERS, 16)
            assert image.getexif().get(0x0112, 1) == 1

    def test_an_original_may_have_an_orientation_that_does_not_exist(self, render):
        assert near(corners(read(render(pictures.held(9)).original.path)), CORNERS)

    def test_an_original_may_have_broken_camera_notes(self, render):
        jpeg = data(quarters(), exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12junk")

        assert near(corners(read(render(jpeg).original.path)), CORNERS)

    def test_an_original_may_be_a_phones_photo_with_a_second_one_inside(self, render):
        rendered = render(pictures.mpo())

        assert (rendered.kind, rendered.original.format) == ("JPEG", "JPEG")
        assert rendered.original.frames == 1
        assert rendered.original.path.read_bytes().count(b"\xff\xd8\xff") == 1

    def test_an_original_is_the_same_for_the_same_bytes(self, render):
        for format in STILL:
            picture = data(pictures.noise((200, 150)), format)
            variants = {"small": Variant(90), "avif": Variant(50, format="AVIF")}
            one, other = render(picture, variants), render(picture, variants)

            for a, b in (
                (one.original, other.original),
                (one.variants["small"], other.variants["small"]),
                (one.variants["avif"], other.variants["avif"]),
            ):
                assert a.path.read_bytes() == b.path.read_bytes()

    def test_an_original_may_be_kept_as_it_came(self, render):
        jpeg = pictures.telltale()

        rendered = render(jpeg, {"small": Variant(32)}, original="keep")

        assert rendered.original.path.read_bytes() == jpeg
        # As it is shown: the camera was held on its side.
        assert (rendered.original.width, rendered.original.height) == (64, 96)
        assert rendered.variants["small"].width == 32

    @pytest.mark.parametrize("quality", [30, 95])
    def test_an_original_has_the_quality_of_the_policy(self, render, quality):
        picture = data(pictures.noise((300, 200)), quality=95)

        size = render(picture, quality=quality).original.size

        assert (size > 20_000) == (quality == 95)


class TestTheSizeOfAnOriginal:
    @pytest.mark.parametrize("quality", [30, 60, 75])
    def test_a_jpeg_keeps_its_own_quality_if_that_is_less(self, render, quality):
        source = data(pictures.noise((600, 400)), quality=quality)

        original = render(source).original

        assert jpeg_quality(read(original.path)) == quality
        assert original.size <= len(source) * 1.02

    def test_a_jpeg_of_more_quality_gets_that_of_the_policy(self, render):
        original = render(data(pictures.noise((600, 400)), quality=98)).original

        assert jpeg_quality(read(original.path)) == 85

    @pytest.mark.parametrize("format", ["WEBP", "AVIF"])
    def test_a_picture_written_again_is_no_larger_than_it_came(self, render, format):
        source = data(pictures.noise((600, 400)), format, quality=60)

        assert render(source).original.size <= len(source)

    def test_an_animation_written_again_is_no_larger_than_it_came(self, render):
        frames = [pictures.noise((200, 100)) for _ in range(4)]
        source = data(
            frames[0], "WEBP", quality=60, save_all=True, append_images=frames[1:]
        )

        assert render(source).original.size <= len(source)


class TestWhatIsToldOfAPerson:
    def test_what_is_told_of_a_person_is_in_no_output_of_a_photo(self, render):
        variants = {
            format: Variant(50, format=format)
            for format in ("JPEG", "PNG", "WEBP", "AVIF", "GIF")
        }
        photo = pictures.telltale()
        assert all(secret in photo for secret in pictures.SECRETS)

        rendered = render(photo, variants)

        for picture in (rendered.original, *rendered.variants.values()):
            stored = picture.path.read_bytes()
            assert not [s for s in (*pictures.SECRETS, b"Exif") if s in stored]
            assert stored.count(b"\xff\xd8\xff") <= 1  # no thumbnail

    @pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF", "GIF"])
    def test_what_is_told_of_a_person_is_in_no_output_of_other_formats(
        self, render, format
    ):
        exif = Image.Exif()
        exif[0x010E] = "SECRET"
        options = {
            "PNG": {"exif": exif, "pnginfo": pictures.png_text(note="SECRET")},
            "WEBP": {"exif": exif, "xmp": b"SECRET"},
            "AVIF": {"exif": exif, "xmp": b"SECRET"},
            "GIF": {"comment": b"SECRET"},
        }
        picture = data(quarters(), format, **options[format])
        assert b"SECRET" in picture

        rendered = render(picture, {"small": Variant(40, format=format)})

        assert b"SECRET" not in rendered.original.path.read_bytes()
        assert b"SECRET" not in rendered.variants["small"].path.read_bytes()

    def test_what_is_told_of_a_person_is_in_no_frame_of_an_animation(self, render):
        picture = pictures.animation("GIF").replace(b"\x21\xf9", _GIF_COMMENT, 1)

        rendered = render(picture)

        assert rendered.original.frames == 4
        assert b"SECRET" not in rendered.original.path.read_bytes()

    @pytest.mark.parametrize(
        ("before", "behind"),
        [
            (b"", b"PK\x03\x04 a ZIP \x00"),
            (b"", b"<?php system($_GET[0]); ?>"),
            (b"", b"*/=1;alert(1)//"),
            (b"", b"<script>alert(1)</script>"),
        ],
    )
    @pytest.mark.parametrize("format", STILL)
    def test_what_hides_behind_a_picture_is_left_out(
        self, render, format, before, behind
    ):
        rendered = render(data(quarters(), format) + behind)

        assert behind not in rendered.original.path.read_bytes()


_GIF_COMMENT = b"\x21\xfe\x06SECRET\x00\x21\xf9"


class TestColours:
    @pytest.mark.parametrize("adobe", [True, False])
    def test_colours_of_ink_are_those_of_the_picture(self, render, adobe):
        rendered = render(pictures.cmyk(adobe=adobe), {"small": Variant(48)})

        for picture in (rendered.original, rendered.variants["small"]):
            image = read(picture.path)
            assert image.mode == "RGB"
            assert near(corners(image), CORNERS)

    @pytest.mark.parametrize("space", [pictures.DISPLAY_P3, pictures.PROPHOTO])
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
    def test_colours_of_a_wide_gamut_are_those_of_the_picture(
        self, render, space, format
    ):
        icc = pictures.profile(*space)
        wide = pictures.in_profile(icc)
        assert not near(corners(wide), CORNERS, 20)  # would be seen without a profile

        original = render(data(wide, format, icc_profile=icc, quality=95)).original

        image = read(original.path)
        assert near(corners(image), CORNERS, 8)
        assert "icc_profile" not in image.info

    def test_colours_keep_their_transparency_through_a_profile(self, render):
        icc = pictures.profile(*pictures.DISPLAY_P3)
        wide = pictures.in_profile(icc)
        wide.putalpha(Image.linear_gradient("L").resize(wide.size))

        image = read(render(data(wide, "PNG", icc_profile=icc)).original.path)

        assert near(corners(image), CORNERS, 8)
        assert image.getchannel("A").tobytes() == wide.getchannel("A").tobytes()

    @pytest.mark.parametrize("icc", [b"junk", b"\0" * 200, b"x" * 100_000])
    def test_colours_survive_a_broken_profile(self, render, icc):
        image = read(render(data(quarters(), icc_profile=icc)).original.path)

        assert near(corners(image), CORNERS)

    def test_colours_survive_a_profile_of_another_kind(self, render):
        icc = pictures.profile(*pictures.DISPLAY_P3)

        image = read(
            render(
                data(quarters(mode="RGB").convert("L"), icc_profile=icc)
            ).original.path
        )

        assert near(corners(image), corners(quarters().convert("L")))

    def test_colours_of_sixteen_bits_become_eight(self, render):
        grey = Image.new("I;16", (64, 64), 0x8080)
        grey.paste(0xFFFF, (0, 0, 32, 32))

        image = read(render(data(grey, "PNG")).original.path)

        assert image.mode == "L"
        assert (image.getpixel((8, 8)), image.getpixel((50, 50))) == (255, 128)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    def test_colours_of_any_mode_end_as_they_look(self, render, mode):
        image = quarters().convert(mode, dither=Image.Dither.NONE)

        rendered = render(data(image, "PNG"), {"small": Variant(48, format="JPEG")})

        expected = corners(image.convert("RGB"))
        assert near(corners(read(rendered.original.path)), expected, 1)
        assert near(corners(read(rendered.variants["small"].path)), expected)

    @pytest.mark.parametrize("format", ["PNG", "GIF"])
    def test_colours_of_a_palette_keep_what_is_see_through(self, render, format):
        image = quarters().quantize(8)
        picture = data(image, format, transparency=image.getpixel((0, 0)))

        rendered = render(
            picture, {"small": Variant(48), "jpeg": Variant(48, format="JPEG")}
        )

        for kept in (rendered.original, rendered.variants["small"]):
            shown = read(kept.path).convert("RGBA")
            assert shown.getpixel((4, 4))[3] == 0
            assert shown.getpixel((shown.width - 4, 4))[3] == 255
        assert near(
            [read(rendered.variants["jpeg"].path).getpixel((4, 4))], [(255,) * 3]
        )


class TestAVariant:
    @pytest.mark.parametrize(
        ("variant", "size"),
        [
            (Variant(300), (300, 200)),
            (Variant(300, 100), (150, 100)),
            (Variant(200, 200, fit="cover"), (200, 200)),
            (Variant(100, 300, fit="cover"), (100, 300)),
            (Variant(5000), (600, 400)),
            (Variant(800, 800, fit="cover"), (400, 400)),
            (Variant(800, 400, fit="cover"), (600, 300)),
            (Variant(1), (1, 1)),
        ],
    )
    def test_a_variant_fits_its_box_and_is_never_enlarged(self, render, variant, size):
        picture = render(data(quarters((600, 400))), {"it": variant}).variants["it"]

        assert (picture.width, picture.height) == read(picture.path).size == size

    @pytest.mark.parametrize("size", [(600, 100), (100, 600)])
    def test_a_variant_that_covers_keeps_the_centre(self, render, size):
        variant = Variant(100, 100, fit="cover")

        picture = render(data(quarters(size)), {"it": variant}).variants["it"]

        assert near(corners(read(picture.path)), CORNERS, 16)

    def test_a_variant_is_webp_unless_it_says_otherwise(self, render):
        variants = {"a": Variant(40), "b": Variant(40, format="JPEG")}

        made = render(data(quarters(), "PNG"), variants).variants

        assert [picture.format for picture in made.values()] == ["WEBP", "JPEG"]
        assert [picture.content_type for picture in made.values()] == [
            "image/webp",
            "image/jpeg",
        ]

    def test_a_variant_may_have_any_name_and_as_many_brothers_as_you_like(self, render):
        names = ["../../etc", "a b", "ünïcode", "", *map(str, range(20))]

        rendered = render(data(quarters()), {name: Variant(9) for name in names})

        assert list(rendered.variants) == names
        assert len(list(rendered.original.path.parent.iterdir())) == 25

    def test_a_variant_has_a_quality_of_its_own(self, render):
        variants = {"low": Variant(300, quality=10), "high": Variant(300, quality=95)}

        made = render(data(pictures.noise((300, 200))), variants).variants

        assert made["low"].size < made["high"].size / 2

    def test_a_variant_of_a_very_tall_picture_is_one_its_format_can_hold(self, render):
        tall = data(Image.new("L", (100, 30_000)), "PNG")

        picture = render(tall, {"it": Variant(100)}).variants["it"]

        assert picture.height == 16_383

    @pytest.mark.parametrize("original", ["keep", "reencode"])
    def test_a_variant_made_of_another_shows_the_same(self, render, original):
        variants = {str(width): Variant(width) for width in (30, 900, 400, 120, 850)}

        rendered = render(data(quarters((1200, 800))), variants, original=original)

        for width, picture in rendered.variants.items():
            assert picture.width == int(width)
            assert near(corners(read(picture.path)), CORNERS, 16)
