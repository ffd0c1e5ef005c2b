"""A process dies by SIGKILL after any statement of what happens to a field's file.

Web processes that receive and save it, workers that bring it in, and those who sweep up
behind: whoever comes next goes on, each field names an object that is there, and after
the sweep nothing is left that no field names.
"""

import hashlib
from datetime import timedelta
from itertools import count

import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.db.models import F
from django.test import RequestFactory

from dbqueue.fields import AsyncFileInputData, acting, issuing, receiving
from dbqueue.fields.forms.values import key_of
from dbqueue.fields.models import FieldUpload
from dbqueue.models import Job, Upload, UploadArtifact, UploadChunk
from dbqueue.testing import run_jobs
from dbqueue.uploads.sweep.cleanup import Sweep
from tests.album.models import Song
from tests.fields.conftest import Sender, stored
from tests.fields.test_tus import begun, head, patch
from tests.model.test_crash_points import Scene, Stage
from tests.support.processes import on_demand
from tests.uploads.test_faults import sweep_when_all_delays_are_over

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("quiet"),
    on_demand,
]

BIG = bytes(range(256)) * 2500  # three chunks
KINDS = ["sheet", "film"]  # through the database, and to a folder


class Arrival(Scene):
    """What arrives for a field of a song; the song is saved by who goes on."""

    kind = ""

    def prepare(self):
        Song.objects.all().delete()
        for name in stored():
            default_storage.delete(name)
        self.field = Song._meta.get_field(self.kind)
        self.user, _ = User.objects.get_or_create(username="ada", is_superuser=True)
        self.sender = Sender(self.user)
        self.more = {"sheet": ""} if self.kind == "film" else {}
        self.arrange()

    def arrange(self):
        self.begun = self.sender.begin(self.field, "song.mp3", size=len(BIG))

    def act(self):
        self.sender.put(self.begun, BIG)

    def look(self):
        """A field names what is there, at any time."""
        for song in Song.objects.exclude(**{self.kind: ""}):
            with getattr(song, self.kind).open() as file:
                assert file.read() in (BIG, b"before")

    def go_on(self):
        self.act()
        self.save(self.begun["key"])

    def save(self, key):
        """Do what a form does that is sent for the first time, or again."""
        if Upload.objects.exclude(state="RECEIVING").exists():
            return
        with acting(self.request()), transaction.atomic():
            data = AsyncFileInputData(key, "song.mp3")
            self.song = Song.objects.create(**{self.kind: data, **self.more})

    def request(self):
        request = RequestFactory().get("/")
        request.user = self.user
        return request

    def verify(self):
        sweep_when_all_delays_are_over()
        names = set()
        for song in Song.objects.all():
            with getattr(song, self.kind).open() as file:
                assert digest(file.read()) == digest(BIG)
            names.add(getattr(song, self.kind).name)
        assert len(names) == self.songs
        Upload.objects.update(expires_at=F("expires_at") - timedelta(days=99))
        sweep_when_all_delays_are_over()
        assert stored() == names
        assert not UploadChunk.objects.exists()
        assert not FieldUpload.objects.filter(upload__state="RECEIVING").exists()
        assert set(UploadArtifact.objects.values_list("name", flat=True)) <= names

    songs = 1


class Receive(Arrival):
    """A file comes whole; whoever sends it again sends all of it."""


class ReceiveByTus(Arrival):
    """A file comes in pieces; whoever goes on asks how far it is."""

    def arrange(self):
        self.place = begun(self.sender.client, self.field, size=len(BIG))

    def act(self):
        for start in range(0, len(BIG), 400_000):
            piece = BIG[start : start + 400_000]
            patch(self.sender.client, self.place, piece, start)

    def go_on(self):
        # As clients do: what is all there is not sent again.
        offset = int(head(self.sender.client, self.place)["Upload-Offset"])
        if offset < len(BIG):
            answer = patch(self.sender.client, self.place, BIG[offset:], offset)
            assert answer.status_code == 204
        self.save(key_of(FieldUpload.objects.get()))


class KeepOfAForm(Arrival):
    """A file comes with its form, without any script; the form is sent again."""

    def arrange(self):
        pass

    def act(self):
        file = SimpleUploadedFile("song.mp3", BIG)
        issuing.keep(self.request(), self.field, file, None)

    def go_on(self):
        self.act()
        row = FieldUpload.objects.order_by("-created_at", "-pk").first()
        self.save(key_of(row))


class Save(Arrival):
    """A form is saved whose file is there; the user sends it again."""

    def arrange(self):
        self.key = self.sender.send(self.field, BIG, "song.mp3", size=len(BIG))["key"]

    def act(self):
        self.save(self.key)

    def look(self):
        super().look()
        stored = Upload.objects.filter(state="STORED").exists()
        assert Song.objects.exists() == Job.objects.exists() == stored

    go_on = act


class Bring(Save):
    """A worker brings a file in, in place of another, which is to be deleted."""

    def arrange(self):
        self.field.replaced = "delete"
        name = default_storage.save("before.txt", SimpleUploadedFile("a", b"before"))
        song = Song.objects.create(**{self.kind: name})
        more = {"size": len(BIG), "instanceId": song.pk}
        key = self.sender.send(self.field, BIG, "song.mp3", **more)["key"]
        with acting(self.request()):
            setattr(song, self.kind, AsyncFileInputData(key, "song.mp3"))
            song.save()

    def act(self):
        run_jobs()

    def look(self):
        Arrival.look(self)
        assert Song.objects.exclude(**{self.kind: ""}).exists()

    def go_on(self):
        """The next worker does."""


class BringInline(Save):
    """A save brings the file in by itself, and a sweep where it did not."""

    def arrange(self):
        super().arrange()
        self.field.move = "inline"

    def look(self):
        Arrival.look(self)

    def go_on(self):
        self.act()
        Upload.objects.update(created_at=F("created_at") - timedelta(hours=1))
        Sweep("default").run()


class Cancel(Save):
    """Somebody takes a file away again."""

    songs = 0

    def act(self):
        row = FieldUpload.objects.select_related("upload").first()
        if row is not None:
            receiving.discard(row)

    def look(self):
        pass

    go_on = act


class SweepUp(Cancel):
    """What nobody submitted is swept up."""

    def arrange(self):
        super().arrange()
        self.sender.begin(self.field, "song.mp3")
        Upload.objects.update(expires_at=F("expires_at") - timedelta(days=99))

    def act(self):
        Sweep("default").run()

    go_on = act


SCENES = [Receive, ReceiveByTus, KeepOfAForm, Save, Bring, BringInline, Cancel, SweepUp]


def digest(content):
    return hashlib.sha256(content).hexdigest()


def played(scene, kind):
    return type(scene.__name__, (scene,), {"kind": kind})


@pytest.fixture(autouse=True)
def fields_as_they_are(monkeypatch):
    for kind in KINDS:
        field = Song._meta.get_field(kind)
        monkeypatch.setattr(field, "replaced", field.replaced)
        monkeypatch.setattr(field, "move", field.move)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_a_death_after_any_statement_leaves_each_field_with_its_file(scene, kind):
    for statement in count(1):
        stage = Stage(played(scene, kind), statement)

        stage.verify()
        if not stage.died:
            break
    print(f"{scene.__name__} of {kind}: {statement - 1} deaths")
    assert statement > 1
