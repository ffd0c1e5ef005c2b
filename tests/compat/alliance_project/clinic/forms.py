"""The form of a visit."""

from django.forms import ModelForm

from clinic.models import Visit


class VisitForm(ModelForm):
    class Meta:
        model = Visit
        fields = ("title", "letter", "photo")
