"""Policies and variants: what may be said, what is refused, what travels as JSON."""

import json

import pytest

from dbqueue.imaging.policy import FilePolicy, ImagePolicy, Variant


class TestAVariant:
    @pytest.mark.parametrize(
        "variant",
        [
            Variant(1600),
            Variant(200, 100, fit="cover", format="JPEG", quality=70),
        ],
    )
    def test_a_variant_survives_the_way_through_json(self, variant):
        stored = json.loads(json.dumps(variant.as_json()))

        assert Variant.from_json(stored) == variant

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"width": 0}, "width=0 must be a whole number, from 1 to 16383"),
            ({"width": 5.5}, "width=5.5 must be a whole number"),
            ({"width": True}, "width=True must be a whole number"),
            ({"width": 20_000}, "width=20000 must be a whole number"),
            ({"width": 5, "height": 0}, "height=0 must be a whole number"),
            ({"width": 5, "fit": "cover"}, "so it needs a height"),
            ({"width": 5, "fit": "crop"}, "Use one of contain, cover"),
            ({"width": 5, "format": "webp"}, "Did you mean 'WEBP'"),
            ({"width": 5, "format": "HEIF"}, "format='HEIF' is unknown"),
            ({"width": 5, "quality": 101}, "quality=101 must be"),
        ],
    )
    def test_a_variant_is_refused_in_words(self, options, words):
        with pytest.raises(ValueError, match=words):
            Variant(**options)

    def test_a_variant_is_refused_with_an_unknown_option(self):
        with pytest.raises(
            ValueError, match=r"no option 'widht'\. Did you mean 'width'"
        ):
            Variant.from_json({"widht": 5})


class TestAnImagePolicy:
    @pytest.mark.parametrize(
        "policy",
        [
            ImagePolicy(),
            ImagePolicy(
                max_size=5, formats=["JPEG"], original="keep", animated="first"
            ),
        ],
    )
    def test_an_image_policy_survives_the_way_through_json(self, policy):
        stored = json.loads(json.dumps(policy.as_json()))

        assert ImagePolicy.from_json(stored) == policy

    def test_an_image_policy_knows_its_size_in_bytes(self):
        assert ImagePolicy().max_size == 20_000_000

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"max_size": 100_000_001}, "whole number of bytes, from 1 to 100,000,000"),
            ({"max_size": "20MB"}, "max_size='20MB' must be a whole number of bytes"),
            ({"max_size": 0}, "max_size=0 must be a whole number of bytes, from 1"),
            ({"max_pixels": 0}, "max_pixels=0 must be a whole number, at least 1"),
            ({"max_frames": "9"}, "max_frames='9' must be a whole number"),
            ({"max_total_pixels": None}, "max_total_pixels=None"),
            ({"formats": ()}, r"formats=\(\) must be a list of at least one name"),
            ({"formats": "JPEG"}, "formats='JPEG' must be a list"),
            ({"formats": ["jpeg"]}, "formats has 'jpeg'. Did you mean 'JPEG'"),
            ({"formats": ["TIFF"]}, "Use one of JPEG, PNG, GIF, WEBP, AVIF, HEIF"),
            ({"original": "strip"}, "original='strip' is unknown"),
            ({"animated": "kep"}, "Did you mean 'keep'"),
            ({"quality": 0}, "quality=0 must be a whole number, from 1 to 100"),
        ],
    )
    def test_an_image_policy_is_refused_in_words(self, options, words):
        with pytest.raises(ValueError, match=words):
            ImagePolicy(**options)

    def test_an_image_policy_is_refused_with_an_unknown_option(self):
        with pytest.raises(ValueError, match="ImagePolicy has no option 'max_pixel'"):
            ImagePolicy.from_json({"max_pixel": 5})


class TestAFilePolicy:
    @pytest.mark.parametrize(
        "policy",
        [FilePolicy(), FilePolicy(types=["application/pdf", "image/*", ".csv"])],
    )
    def test_a_file_policy_survives_the_way_through_json(self, policy):
        stored = json.loads(json.dumps(policy.as_json()))

        assert FilePolicy.from_json(stored) == policy

    @pytest.mark.parametrize("type_", ["csv", "*.csv", "text/*", "", 5, "a/b/c"])
    def test_a_file_policy_is_refused_with_what_is_not_a_type(self, type_):
        with pytest.raises(ValueError, match="types has "):
            FilePolicy(types=[type_])
