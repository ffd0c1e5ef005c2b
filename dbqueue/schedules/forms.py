"""The form of a schedule: its times as fields, and its errors where they belong."""

from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dbqueue.schedules.exceptions import InvalidSchedule
from dbqueue.schedules.models import Schedule
from dbqueue.schedules.times import cadence
from dbqueue.schedules.times.base import Cadence
from dbqueue.schedules.times.cadence import At, Cron, Every

_TIMES = ("cron", "every", "at")
_ARGUMENTS = ("args", "kwargs", "changes")
_FIELDSETS: Any = (
    (None, {"fields": ("name", "description", "enabled", "problem")}),
    (_("Runs"), {"fields": ("times", "upcoming", "waiting_for", "latest", "runs")}),
    (
        _("Times"),
        {"fields": ("cron", ("timezone", "both_days"), ("every", "offset"), "at")},
    ),
    (_("What is run"), {"fields": ("task", "args", "kwargs")}),
    (
        _("Options"),
        {
            "fields": (
                ("queue_name", "priority", "backend"),
                ("catch_up", "catch_up_limit"),
                ("overlap", "jitter", "expires"),
                ("starts_at", "ends_at", "max_runs"),
            )
        },
    ),
    (
        _("Declared"),
        {
            "fields": (
                ("origin", "declared_by", "declared_at"),
                *("changes", "retired_at", "created_at"),
            )
        },
    ),
)


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs
    alias: str  # of the database that the page is about

    cron = forms.CharField(
        label=_("Cron"),
        required=False,
        help_text=_(
            "Minute, hour, day, month and weekday, or @daily and the like: "
            "“0 8 * * mon-fri” is at 08:00 on weekdays."
        ),
        widget=forms.TextInput(attrs={"class": "vTextField"}),
    )
    timezone = forms.ChoiceField(label=_("Time zone"), required=False)
    both_days = forms.BooleanField(
        label=_("Both days"),
        required=False,
        help_text=_("Of a day and a weekday, both are to match, not either."),
    )
    every = forms.DurationField(
        label=_("Or every"), required=False, help_text=_("Days and HH:MM:SS.")
    )
    offset = forms.DurationField(
        label=_("Offset"),
        required=False,
        help_text=_("All of them are that much later, counted from midnight UTC."),
    )
    at = forms.CharField(
        label=_("Or at"),
        required=False,
        help_text=_("Moments as 2026-12-24 18:00, one a line."),
        widget=forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"}),
    )

    class Meta:
        model = Schedule
        fields = (
            *("name", "description", "enabled", "task", "args", "kwargs"),
            *("queue_name", "priority", "backend", "catch_up", "catch_up_limit"),
            *("overlap", "jitter", "expires", "starts_at", "ends_at", "max_runs"),
        )
        widgets = {
            name: forms.Textarea(attrs={"rows": 2, "class": "vLargeTextField"})
            for name in ("description", "args", "kwargs")
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        row = kwargs.get("instance")
        shown = _fields_of(row.cadence if row else None)
        kwargs["initial"] = shown | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)
        # Who may only look has no fields.
        if "timezone" in self.fields:
            names = sorted(available_timezones() | {shown["timezone"]})
            self.fields["timezone"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]  # of a ChoiceField

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        given = [name for name in _TIMES if cleaned.get(name)]
        if self.errors or (not given and _is_own(self.instance.cadence)):
            return cleaned
        if len(given) != 1:
            raise forms.ValidationError(
                _("Fill in one of “Cron”, “Or every” and “Or at”.")
            )
        try:
            self.instance.cadence = _cadence(given[0], cleaned)
        except InvalidSchedule as error:
            self.add_error(given[0], str(error))
        return cleaned

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]  # Django's, not in the stubs
        if not self.errors:
            try:
                self.instance.check_values(self.alias)
            except InvalidSchedule as error:
                self.add_error(None, str(error))


def fieldsets(*, with_arguments: bool) -> Any:
    """Return the parts of the page; arguments are as secret as those of jobs."""
    if with_arguments:
        return _FIELDSETS
    return [
        (title, {"fields": [f for f in part["fields"] if f not in _ARGUMENTS]})
        for title, part in _FIELDSETS
    ]


def _fields_of(times: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {"timezone": settings.TIME_ZONE}
    if isinstance(times, Cron):
        zone = times.timezone or settings.TIME_ZONE
        both = times.both_days
        return {"cron": times.expression, "timezone": zone, "both_days": both}
    if isinstance(times, Every):
        return shown | {"every": times.interval, "offset": times.offset or None}
    if isinstance(times, At):
        local = (timezone.localtime(moment) for moment in times.moments)
        return shown | {"at": "\n".join(f"{m:%Y-%m-%d %H:%M:%S}" for m in local)}
    return shown


def _is_own(times: Any) -> bool:
    """Tell whether it is a project's own cadence, which has no fields here."""
    return isinstance(times, Cadence) and not isinstance(times, Cron | Every | At)


def _cadence(name: str, given: dict[str, Any]) -> Cadence:
    if name == "cron":
        zone, both = given["timezone"], given["both_days"]
        return Cron(given["cron"], timezone=zone, both_days=both)
    if name == "every":
        return Every(given["every"], offset=given["offset"] or timedelta())
    lines = [line.strip() for line in given["at"].splitlines() if line.strip()]
    moments = [cadence.moment(line) for line in lines]
    return At(*(timezone.make_aware(m) if timezone.is_naive(m) else m for m in moments))
