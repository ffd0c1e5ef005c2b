"""A small site with upload fields: a form, a formset, the admin, and its rows."""

from django import forms
from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.template import RequestContext, Template
from django.urls import include, path

from dbqueue.models import Upload
from tests.browser.albums.models import Album, Photo

PAGE = """{% load static %}<!doctype html>
<html lang="{{ LANGUAGE_CODE|default:'en' }}">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>An album</title>
  {{ form.media }}
</head>
<body>
  <main>
    <h1>An album</h1>
    <form method="post" enctype="multipart/form-data" novalidate>
      {% csrf_token %}
      {{ form }}
      <p><button id="send">Save</button></p>
    </form>
  </main>
</body>
</html>"""

PhotoFormSet = forms.inlineformset_factory(
    Album, Photo, fields=["picture", "caption"], extra=3, can_delete=False
)
AlbumForm = forms.modelform_factory(Album, fields=["title", "cover", "film"])


class PhotoInline(admin.TabularInline):
    model = Photo
    extra = 1


admin.site.register(Album, inlines=[PhotoInline])


def album(request, pk=None):
    """Show and save the form of an album."""
    instance = Album.objects.filter(pk=pk).first()
    form = AlbumForm(request.POST or None, request.FILES or None, instance=instance)
    return _answer(request, form)


def photos(request):
    """Show and save the photos of the first album."""
    first, _ = Album.objects.get_or_create(title="Photos")
    formset = PhotoFormSet(request.POST or None, request.FILES or None, instance=first)
    return _answer(request, formset)


def found(request):
    """Tell what is stored, and what waits."""
    # First these: where nothing waits any more, the rows have what was brought.
    uploads = list(Upload.objects.values("filename", "state", "sha256"))
    rows = [*Album.objects.all(), *Photo.objects.all()]
    return JsonResponse({"rows": [_told(row) for row in rows], "uploads": uploads})


def _told(row):
    fields = [field.name for field in row._meta.fields]
    return {"model": row._meta.model_name, "pk": row.pk} | {
        name: str(getattr(row, name)) for name in fields if name != "id"
    }


def _answer(request, form):
    if request.method == "POST" and form.is_valid():
        form.save()
        return HttpResponseRedirect("/found/")
    return HttpResponse(Template(PAGE).render(RequestContext(request, {"form": form})))


urlpatterns = [
    path("", album),
    path("albums/<int:pk>/", album),
    path("photos/", photos),
    path("found/", found),
    path("uploads/", include("dbqueue.fields.urls")),
    path("admin/", admin.site.urls),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
