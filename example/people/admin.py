"""Profiles in the admin."""

from django.contrib import admin

from people.models import Profile


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "hobby", "dream_job", "created_at"]
    search_fields = ["name", "email"]
