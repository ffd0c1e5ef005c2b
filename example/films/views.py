"""The form for a film, and the page that shows what became of it."""

from django import forms
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from films.models import Film

# All that the upload fields need in a form comes with them.
FilmForm = forms.modelform_factory(Film, fields=["title", "poster", "film"])


@require_http_methods(["GET", "HEAD", "POST"])
def send(request):
    """Show the form; save it. A worker brings the files into their fields."""
    form = FilmForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        request.session["film_id"] = form.save().pk
        return redirect("film")
    return render(request, "films/form.html", {"form": form})


@require_safe
def film(request):
    """Show the film of this visitor, or that it is on its way."""
    found = Film.objects.filter(pk=request.session.get("film_id")).first()
    if found is None:
        return redirect("send_film")
    return render(request, "films/film.html", {"film": found})
