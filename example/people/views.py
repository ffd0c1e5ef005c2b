"""The form, and the page that answers it at once."""

from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from dbqueue import enqueue
from people.forms import ProfileForm
from people.models import Profile
from people.tasks import send_summary


@require_http_methods(["GET", "HEAD", "POST"])
def about_me(request):
    """Show the form; save what it brings and leave the PDF and the mail to a worker."""
    form = ProfileForm(request.POST or None)
    if form.is_valid():
        profile = form.save()
        # In the view's own transaction: no profile without its job, and no job for a
        # profile that was rolled back.
        enqueue(send_summary, profile.pk)
        request.session["profile_id"] = profile.pk
        return redirect("on_its_way")
    return render(request, "people/form.html", {"form": form})


@require_safe
def on_its_way(request):
    """Say where the summary goes. Only the visitor who asked for it can see this."""
    profile = Profile.objects.filter(pk=request.session.get("profile_id")).first()
    if profile is None:
        return redirect("about_me")
    return render(request, "people/on_its_way.html", {"profile": profile})
