"""A person who has logged in, and what a page of that project does for them."""

import json
from io import BytesIO

from alliance_platform.storage.async_uploads.registry import (
    default_async_field_registry as registry,
)
from clinic.models import Visit
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image

LETTER, PHOTO = (Visit._meta.get_field(name) for name in ("letter", "photo"))
client = Client()


def log_in():
    user, _ = User.objects.get_or_create(username="ada", is_superuser=True)
    client.force_login(user)


def pdf(text):
    return b"%PDF-1.4 " + text.encode()


def png():
    file = BytesIO()
    Image.new("RGB", (16, 12), "navy").save(file, "PNG")
    return file.getvalue()


def begin(field, name):
    asked = {"fieldId": registry.generate_id(field), "filename": name}
    answer = client.get("/files/generate-upload-url/", asked)
    assert answer.status_code == 200, answer.content
    return answer.json()


def send(field, name, content):
    """Send a file; return what the page puts into the form."""
    begun = begin(field, name)
    told = begun["uploadUrl"]
    file = SimpleUploadedFile(name, content)
    sent = client.post(told["url"], {**told["fields"], told["fileFieldName"]: file})
    assert sent.status_code == 201, sent.content
    return {"key": begun["key"], "name": name}


def post(place="/visits/", **given):
    """Submit the form; return the answer's JSON."""
    data = {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in given.items()
    }
    answer = client.post(place, data)
    assert answer.status_code == 200, answer.content
    return answer.json()


def put(place, **given):
    """Send JSON; return the answer's."""
    answer = client.post(place, json.dumps(given), content_type="application/json")
    assert answer.status_code == 200, answer.content
    return answer.json()


def download(field, pk):
    asked = {"fieldId": registry.generate_id(field), "instanceId": pk}
    answer = client.get("/files/download-file/", asked)
    assert answer.status_code == 302, answer.content
    found = client.get(answer["Location"])
    assert found.status_code == 200, found.content
    return b"".join(found.streaming_content)
