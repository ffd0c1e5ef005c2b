"""What becomes of pictures that move."""

import pytest
from PIL import Image, ImageChops

from dbqueue.imaging.policy import Variant
from tests.imaging import pictures
from tests.imaging.pictures import animation, data, durations, frames, near, read

MOVING = ("GIF", "PNG", "WEBP", "AVIF")


def differ(image, other):
    """Return by how much the pixel that differs most does, as seen on white."""
    shown = [_on_white(each) for each in (image, other)]
    return max(high for _, high in ImageChops.difference(*shown).getextrema())


def _on_white(image):
    ground = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(ground, image.convert("RGBA")).convert("RGB")


class TestAnAnimation:
    @pytest.mark.parametrize("background", [(255, 255, 255, 0), (250, 240, 220, 255)])
    @pytest.mark.parametrize("format", MOVING)
    def test_an_animation_moves_as_it_did(self, render, format, background, tmp_path):
        before = tmp_path / "before"
        before.write_bytes(animation(format, background=background))

        original = render(before.read_bytes()).original

        assert (original.format, original.frames) == (format, 4)
        after = frames(original.path)
        assert [time for _, time in after] == durations(4)
        for (image, _), (expected, _) in zip(after, frames(before), strict=True):
            # AVIF and WebP draw the edges of coloured squares a little wider.
            tolerance = 8 if format in ("GIF", "PNG") else 120
            assert differ(image, expected) <= tolerance

    @pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP"])
    def test_an_animation_is_repeated_as_often_as_it_was(self, render, format):
        original = render(animation(format)).original

        assert read(original.path).info["loop"] == 3

    def test_an_animation_that_was_shown_once_is_shown_once(self, render):
        first, second = pictures.quarters(), pictures.noise((96, 64))
        once = data(first, "GIF", save_all=True, append_images=[second], duration=90)

        original = render(once).original

        assert "loop" not in read(original.path).info

    @pytest.mark.parametrize("disposal", [0, 1, 2, 3])
    def test_an_animation_looks_the_same_whatever_its_frames_leave_behind(
        self, render, disposal, tmp_path
    ):
        squares = []
        for index in range(5):
            image = Image.new("RGBA", (60, 40))
            image.paste((200, 30 * index, 60, 255), (10 * index, 5, 10 * index + 9, 30))
            squares.append(image)
        before = tmp_path / "before.gif"
        before.write_bytes(
            data(
                squares[0],
                "GIF",
                save_all=True,
                append_images=squares[1:],
                duration=80,
                disposal=disposal,
            )
        )

        after = frames(render(before.read_bytes()).original.path)

        expected = frames(before)
        assert len(after) == len(expected) == 5
        for (image, _), (other, _) in zip(after, expected, strict=True):
            assert differ(image, other) <= 8

    def test_an_animation_of_apng_leaves_out_the_picture_for_those_who_cannot_move(
        self, render
    ):
        moving = data(
            pictures.quarters(),
            "PNG",
            save_all=True,
            default_image=True,
            append_images=[Image.new("RGB", (96, 64), c) for c in ("red", "blue")],
            duration=[100, 200],
        )

        rendered = render(moving, {"still": Variant(96)})

        assert rendered.original.frames == 2
        colours = [
            (image.getpixel((9, 9))[:3], time)
            for image, time in frames(rendered.original.path)
        ]
        assert colours == [((255, 0, 0), 100), ((0, 0, 255), 200)]
        still = read(rendered.variants["still"].path)
        assert near(pictures.corners(still), pictures.CORNERS, 16)

    @pytest.mark.parametrize("format", MOVING)
    def test_an_animation_has_still_variants_of_its_first_frame(self, render, format):
        variants = {"gif": Variant(32, format="GIF"), "webp": Variant(32)}

        made = render(animation(format), variants).variants

        assert [picture.frames for picture in made.values()] == [1, 1]
        for picture in made.values():
            image = read(picture.path).convert("RGB")
            assert getattr(read(picture.path), "n_frames", 1) == 1
            assert near([image.getpixel((3, 8))], [pictures.RED], 40)

    @pytest.mark.parametrize("format", MOVING)
    def test_an_animation_becomes_its_first_frame_where_the_policy_says_so(
        self, render, format
    ):
        original = render(animation(format), animated="first").original

        assert (original.format, original.frames) == (format, 1)
        assert len(frames(original.path)) == 1

    @pytest.mark.parametrize("format", MOVING)
    def test_an_animation_may_be_kept_as_it_came(self, render, format):
        moving = animation(format)

        original = render(moving, original="keep").original

        assert original.path.read_bytes() == moving
        assert original.frames == 4

    def test_an_animation_may_have_frames_that_are_alike(self, render):
        one, other = Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")
        many = [other, *[one.copy() for _ in range(3)]]
        for index, image in enumerate(many):
            image.putpixel((0, 0), (index, 0, 0))  # or Pillow joins them here
        moving = data(one, "GIF", save_all=True, append_images=many, duration=50)

        original = render(moving).original

        assert original.frames == len(frames(original.path))
        assert sum(time for _, time in frames(original.path)) == 250

    def test_an_animation_is_turned_upright_frame_by_frame(self, render):
        exif = Image.Exif()
        exif[0x0112] = 3
        turned = pictures.quarters().transpose(Image.Transpose.ROTATE_180)
        moving = data(
            turned,
            "WEBP",
            save_all=True,
            append_images=[Image.new("RGB", (96, 64)), turned],
            duration=100,
            exif=exif,
            quality=95,
        )

        shown = frames(render(moving).original.path)

        assert near(pictures.corners(shown[0][0]), pictures.CORNERS, 20)
        assert near(pictures.corners(shown[2][0]), pictures.CORNERS, 20)
