"""The admin and the pages of progress, for their tests."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("jobs/", include("dbqueue.progress.urls")),
    path("uploads/", include("dbqueue.fields.urls")),
]
