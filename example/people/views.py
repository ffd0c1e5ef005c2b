"""The form, and the page that answers it at once."""

from django.db import transaction
from django.http import Http404
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
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
    if form.is_valid() and (profile := _save(form)):
        request.session["profile_id"] = profile.pk
        return redirect("on_its_way")
    return render(request, "people/form.html", {"form": form})


@require_safe
def on_its_way(request):
    """Say where the summary goes. Only the visitor who asked for it can see this."""
    profile = _profile_of(request)
    if profile is None:
        return redirect("about_me")
    return render(request, "people/on_its_way.html", _with_photo(profile))


@require_safe
@never_cache
def photo(request):
    """Answer with the part of that page that changes when the photo is ready."""
    profile = _profile_of(request)
    if profile is None:
        raise Http404
    return render(request, "people/photo.html", _with_photo(profile))


def _save(form):
    """Return the new profile, or None if its photo is refused, which the form says."""
    try:
        # All of it in one transaction: no profile without its jobs, and no job for a
        # profile that was rolled back.
        with transaction.atomic():
            profile = form.save()
            if file := form.cleaned_data["photo"]:
                photos.keep(file, profile)
            enqueue(send_summary, profile.pk)
    except UploadError as error:
        form.add_error("photo", str(error))
        return None
    return profile


def _profile_of(request):
    return Profile.objects.filter(pk=request.session.get("profile_id")).first()


def _with_photo(profile):
    return {"profile": profile, "upload": photos.upload_of(profile)}
