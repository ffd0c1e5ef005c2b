from uuid import uuid4

from django.db import models
from django.db.models.signals import post_save


def one_name(instance, filename):
    return f"papers/{instance.pk}"


class Profile(models.Model):
    name = models.CharField(max_length=100, blank=True)
    visits = models.IntegerField(default=0)
    photo = models.ImageField(
        upload_to="photos",
        blank=True,
        max_length=120,
        width_field="photo_width",
        height_field="photo_height",
    )
    photo_width = models.IntegerField(null=True)
    photo_height = models.IntegerField(null=True)
    banner = models.ImageField(upload_to="banners/%Y", null=True, blank=True)
    letter = models.FileField(upload_to="letters", blank=True)

    def __str__(self):
        return self.name


class PastProfile(models.Model):
    """What packages keep of each change to a model: text where it has a file."""

    photo = models.TextField(blank=True)
    letter = models.CharField(max_length=100, blank=True)

    def __str__(self):
        return self.letter


class Artist(Profile):
    """Its table has no file: the columns are the parent's."""

    style = models.CharField(max_length=100, blank=True)


class Fan(Profile):
    class Meta:
        proxy = True


class Paper(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid4)
    document = models.FileField(upload_to=one_name, default="papers/none.txt")

    def __str__(self):
        return str(self.pk)


saved = []


def note_save(instance, update_fields, **kwargs):
    saved.append((type(instance).__name__, update_fields))


def forget(instance):
    """Stand for what a project does to its own cache."""
    saved.append(("forgotten", instance.photo.name))


post_save.connect(note_save, sender=Profile)
