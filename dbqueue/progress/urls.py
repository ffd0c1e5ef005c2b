"""The addresses of progress, for include("dbqueue.progress.urls")."""

from django.urls import path

from dbqueue.progress.links import NAMESPACE
from dbqueue.progress.views import actions, files, pages, stream

app_name = NAMESPACE
urlpatterns = [
    path("pictures/<str:token>/", pages.picture, name="picture"),
    path("<str:key>/", pages.page, name="page"),
    path("<str:key>/status.json", pages.status, name="status"),
    path("<str:key>/bar/", pages.bar, name="bar"),
    path("<str:key>/events/", stream.events, name="events"),
    path("<str:key>/cancel/", actions.cancel, name="cancel"),
    path("<str:key>/files/<str:name>", files.download, name="file"),
]
