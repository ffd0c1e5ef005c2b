"""A page that needs no script: a form with the upload fields of a song."""

from django import forms
from django.http import HttpResponse
from django.urls import include, path

from tests.album.models import Song

SongForm = forms.modelform_factory(Song, fields=["sheet", "film"])


def song(request):
    """Save a song; answer its key, or what is wrong."""
    form = SongForm(request.POST, request.FILES)
    form.fields["sheet"].required = False
    if not form.is_valid():
        return HttpResponse(form.errors.as_json(), status=400)
    return HttpResponse(form.save().pk, status=201)


urlpatterns = [
    path("song/", song),
    path("uploads/", include("dbqueue.fields.urls")),
]
