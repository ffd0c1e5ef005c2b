"""Forms of that project."""

from django import forms

from dbqueue.compat.alliance_platform.storage.async_uploads.forms import AsyncFileInput
from tests.compat.alliance_app.models import Letter, Report


class ReportForm(forms.ModelForm):
    class Meta:
        model = Report
        fields = ("document", "scan")


class StampForm(forms.ModelForm):
    class Meta:
        model = Report
        fields = ("stamp",)
        widgets = {"stamp": AsyncFileInput(attrs={"class": "wide"})}


class LetterForm(forms.ModelForm):
    class Meta:
        model = Letter
        fields = ("open",)
