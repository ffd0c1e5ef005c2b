"""The pages of the example."""

from django.contrib import admin
from django.urls import path

from people import views

urlpatterns = [
    path("", views.about_me, name="about_me"),
    path("on-its-way/", views.on_its_way, name="on_its_way"),
    path("admin/", admin.site.urls),
]
