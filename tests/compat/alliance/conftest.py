"""Pages and programs that speak as alliance-platform-storage has them do."""

import pytest
from django.contrib.auth.backends import ModelBackend
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import get_resolver, reverse

from dbqueue.compat.alliance_platform.storage.async_uploads.models import (
    AsyncFileInputData,
)
from tests.compat.alliance_app.models import Letter, Report
from tests.fields.conftest import (  # noqa: F401  fixtures
    ada,
    as_ada,
    bob,
    media,
    request_of,
)

DOCUMENT, SCAN, STAMP = (
    Report._meta.get_field(name) for name in ("document", "scan", "stamp")
)
OPEN, USUAL, OWN = (Letter._meta.get_field(name) for name in ("open", "usual", "own"))
PDF = b"%PDF-1.4 small"


@pytest.fixture
def page(ada):  # noqa: F811  a fixture
    return Page(ada)


class Page:
    """A page that speaks as the scripts of alliance's pages do."""

    def __init__(self, user=None):
        get_resolver().url_patterns  # noqa: B018  the views are attached then
        self.client = Client()
        if user is not None:
            backend = f"{ModelBackend.__module__}.{ModelBackend.__name__}"
            self.client.force_login(user, backend=backend)

    def ask(self, field, filename="abc.pdf", **query):
        registry = field.async_field_registry
        query = {"field_id": registry.generate_id(field), **query}
        return self.client.get(
            reverse(registry.attached_view), {"filename": filename, **query}
        )

    def send(self, field, content=PDF, filename="abc.pdf", **query):
        """Return what the form then has for the file."""
        begun = self.ask(field, filename, **query).json()
        to = begun["uploadUrl"]
        file = SimpleUploadedFile(filename, content)
        form = {**to["fields"], to["fileFieldName"]: file}
        assert Client().post(to["url"], form).status_code == 201
        return {"key": begun["key"], "name": filename}

    def download(self, field, instance, **query):
        registry = field.async_field_registry
        query = {"fieldId": registry.generate_id(field), **query}
        if instance is not None:
            query["instanceId"] = instance.pk
        return self.client.get(reverse(registry.attached_download_view), query)


def data(given, **more):
    return AsyncFileInputData(**given, **more)


def name_of(file):
    """Return the name that was given, of one that has been made unique."""
    return file.name.rpartition("/")[2].partition("-")[0].partition("_")[0]
