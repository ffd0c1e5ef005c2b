"""Profiles in the admin."""

from django.contrib import admin
from django.template import Context, Template

from dbqueue.uploads import prefetch_uploads
from people.models import Profile

PICTURE = Template(
    "{% load dbqueue_uploads %}"
    '{% pending_image profile "photo" variant="thumb" alt="" '
    'style="width: 3rem; height: auto" %}'
)


@admin.register(Profile)
class ProfileAdmin(admin.ModelAdmin):
    list_display = ["name", "picture", "email", "hobby", "dream_job", "created_at"]
    search_fields = ["name", "email"]
    readonly_fields = ["photo"]  # it comes through the form, and its worker

    @admin.display(description="photo")
    def picture(self, profile):
        return PICTURE.render(Context({"profile": profile}))

    def get_changelist_instance(self, request):
        # One query for the photos of the whole page.
        changelist = super().get_changelist_instance(request)
        changelist.result_list = prefetch_uploads(changelist.result_list, "photo")
        return changelist
