"""What drf-spectacular says of upload fields in an OpenAPI description."""

import pytest
from django.urls import path
from rest_framework.generics import CreateAPIView

from tests.album.models import Album
from tests.fields.test_drf import AlbumSerializer
from tests.support.processes import once

pytestmark = once

FILE = {
    "key": {"type": "string"},
    "name": {"type": "string"},
    "url": {"type": "string", "nullable": True, "readOnly": True},
    "width": {"type": "integer", "nullable": True, "writeOnly": True},
    "height": {"type": "integer", "nullable": True, "writeOnly": True},
}


@pytest.fixture
def described():
    """Return the properties of an album, with warnings as errors."""
    reason = "NO DRF-SPECTACULAR HERE: pip install drf-spectacular"
    pytest.importorskip("drf_spectacular", reason=reason)
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.openapi import AutoSchema

    class Albums(CreateAPIView):
        queryset = Album.objects.all()
        serializer_class = AlbumSerializer
        schema = AutoSchema()

    GENERATOR_STATS.reset()
    generator = SchemaGenerator(patterns=[path("albums/", Albums.as_view())])
    found = generator.get_schema(public=True)
    assert not GENERATOR_STATS
    return found["components"]["schemas"]["Album"]["properties"]


@pytest.mark.parametrize("field", ["cover", "booklet"])
def test_a_file_is_an_object_with_a_key_and_a_name(described, field):
    told = described[field]

    assert told["type"] == "object"
    assert told["required"] == ["key", "name"]
    assert told["properties"] == FILE


def test_a_field_that_may_be_empty_may_be_null(described):
    assert described["booklet"]["nullable"] is True
