"""The form, and the page that answers it at once."""

from django.db import transaction
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from dbqueue import enqueue
from dbqueue.exceptions import UploadError
from people import photos
from people.forms import ProfileForm
from people.models import Profile
from people.tasks import send_summary


@require_http_methods(["GET", "HEAD", "POST"])
def about_me(request):
    """Show the form; save what it brings and leave photo, PDF and mail to a worker."""
    form = ProfileForm(request.POST or None, request.FILES or None)
    if form.is_valid() and (saved := _save(form)):
        profile, summary = saved
        request.session["profile_id"] = profile.pk
        request.session["summary_id"] = summary.id
        return redirect("on_its_way")
    return render(request, "people/form.html", {"form": form})


@require_safe
def on_its_way(request):
    """Show how far the summary is. Only the visitor who asked for it can see this."""
    found = Profile.objects.filter(pk=request.session.get("profile_id"))
    profile, summary_id = found.first(), request.session.get("summary_id")
    if profile is None or summary_id is None:
        return redirect("about_me")
    context = {
        "profile": profile,
        "summary": summary_id,
        "upload": photos.upload_of(profile),
    }
    return render(request, "people/on_its_way.html", context)


def _save(form):
    """Return the new profile and the job of its summary.

    None if the photo is refused, which the form then says.
    """
    try:
        # All of it in one transaction: no profile without its jobs, and no job for a
        # profile that was rolled back.
        with transaction.atomic():
            profile = form.save()
            if file := form.cleaned_data["photo"]:
                photos.keep(file, profile)
            return profile, enqueue(send_summary, profile.pk)
    except UploadError as error:
        form.add_error("photo", str(error))
        return None
