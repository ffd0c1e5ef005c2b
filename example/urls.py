"""The pages of the example."""

from django.conf import settings
from django.conf.urls.static import static
from django.contrib import admin
from django.urls import include, path

from films import views as films
from people import views

urlpatterns = [
    path("", views.about_me, name="about_me"),
    path("on-its-way/", views.on_its_way, name="on_its_way"),
    path("film/", films.send, name="send_film"),
    path("film/sent/", films.film, name="film"),
    path("jobs/", include("dbqueue.progress.urls")),
    path("uploads/", include("dbqueue.fields.urls")),
    path("admin/", admin.site.urls),
    *static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT),
]
