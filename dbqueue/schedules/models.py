"""Schedule: a rule by which jobs recur, and how far it has come."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import models, router
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.ids import uuid7
from dbqueue.models.fields import Json, Key, Moment
from dbqueue.schedules import calls, store, values
from dbqueue.schedules.fields import CadenceField
from dbqueue.schedules.times import plan
from dbqueue.schedules.times.base import Cadence
from dbqueue.tasks.results import JobResult

__all__ = ["CatchUp", "Origin", "Overlap", "Schedule"]

# What decides on the next run: it is planned anew if one of these changes.
DECISIVE = frozenset(
    ("cadence", "enabled", "starts_at", "ends_at", "max_runs", "jitter", "retired_at")
)


class CatchUp(models.TextChoices):
    NONE = "none", _("None of them")
    LAST = "last", _("The last one")
    ALL = "all", _("All of them")


class Overlap(models.TextChoices):
    ALLOW = "allow", _("Run both")
    SKIP = "skip", _("Skip the tick")
    QUEUE_ONE = "queue_one", _("Wait for the end, one at most")
    CANCEL_RUNNING = "cancel_running", _("Cancel the run before")


class Origin(models.TextChoices):
    CODE = "code", _("Code")
    SETTINGS = "settings", _("Settings")
    DATABASE = "database", _("Database")


class ScheduleQuerySet(models.QuerySet["Schedule"]):
    def due(self, now: Any) -> "ScheduleQuerySet":
        """Return those to be looked at by now, the first of them first."""
        return self.filter(due_at__lte=now).order_by("due_at")

    def active(self) -> "ScheduleQuerySet":
        """Return those that are not retired."""
        return self.filter(retired_at=None)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        """As Django's; each is planned first."""
        now, objs = store.now(self.db), list(objs)
        for made in objs:
            values.check(made)
            plan.anew(made, now)
        store.announce(self.db)
        return super().bulk_create(objs, *args, **kwargs)

    def update(self, **changes: Any) -> int:
        """As Django's; a keeper plans anew what was changed here."""
        if changes.keys() & DECISIVE and "due_at" not in changes:
            now = dialects.of(self.db).clock()
            changes |= {"next_run_at": None, "waiting_for": None, "due_at": now}
            store.announce(self.db)
        return super().update(**changes)

    update.alters_data = True  # type: ignore[attr-defined]


class Schedule(models.Model):
    """What is enqueued when; each of its ticks is one job, under an id of its own.

    Whatever is created or saved here is planned at once, and fired by any keeper.
    """

    id = Key(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(_("name"), max_length=values.NAME_LENGTH, unique=True)
    description = models.TextField(_("description"), blank=True, default="")
    task = models.CharField(_("task"), max_length=255)
    args = Json(_("arguments"), default=list, blank=True)
    kwargs = Json(_("keyword arguments"), default=dict, blank=True)
    cadence = CadenceField(_("cadence"))
    # Empty, or null, is what the task says.
    backend = models.CharField(_("backend"), max_length=100, blank=True, default="")
    queue_name = models.CharField(_("queue"), max_length=100, blank=True, default="")
    priority = models.SmallIntegerField(_("priority"), null=True, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    catch_up = models.CharField(
        _("missed ticks"), max_length=10, choices=CatchUp, default=CatchUp.LAST
    )
    # Of CatchUp.ALL: the last so many.
    catch_up_limit = models.IntegerField(
        _("missed ticks at most"), default=values.CATCH_UP_LIMIT
    )
    # Empty: SKIP, and ALLOW with CatchUp.ALL.
    overlap = models.CharField(
        _("overlap"), max_length=20, choices=Overlap, blank=True, default=""
    )
    # Seconds; all ticks are later by the same share of it, which the id decides.
    jitter = models.FloatField(_("jitter"), default=0.0)
    starts_at = Moment(_("starts at"), null=True, blank=True)
    ends_at = Moment(_("ends at"), null=True, blank=True)
    max_runs = models.IntegerField(_("runs at most"), null=True, blank=True)
    # Seconds after its tick, from which on a job is not started any more.
    expires = models.FloatField(_("expires after"), null=True, blank=True)
    # Where it is declared, what is declared, by which settings, and when a live worker
    # last did so. A value that is another than the declared one is an operator's.
    origin = models.CharField(
        _("origin"), max_length=10, choices=Origin, default=Origin.DATABASE
    )
    declared = Json(_("declared"), null=True)
    declared_by = models.CharField(_("declared by"), max_length=255, default="")
    declared_at = Moment(_("last declared at"), null=True)
    retired_at = Moment(_("retired at"), null=True)
    # How far it has come. `due_at` is when a keeper looks at it; null is never.
    next_run_at = Moment(_("next run"), null=True)
    due_at = Moment(_("due at"), null=True)
    waiting_for = Moment(_("waits for the end of the last run since"), null=True)
    last_run_at = Moment(_("last run"), null=True)
    last_job_id = Key(_("last job"), null=True)
    runs = models.IntegerField(_("runs"), default=0)
    # The latest ticks, the last first: its moment, the job or null, and what was done.
    recent = Json(_("latest runs"), default=list)
    problem = models.TextField(_("problem"), default="")
    created_at = Moment(_("created at"), auto_now_add=True)

    objects = ScheduleQuerySet.as_manager()

    class Meta:
        verbose_name = _("schedule")
        verbose_name_plural = _("schedules")
        ordering = ("name",)
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(due_at__isnull=False),
                name="dbqueue_schedule_due",
            ),
        ]
        permissions = [("run_schedule", "Can run schedules now")]

    def __str__(self) -> str:
        return self.name

    # As they were read: the values that are checked, those that are planned by, and
    # what keepers write.
    _checked: Any = None
    _planned: Any = None
    _kept: Any = None

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> "Schedule":
        made = super().from_db(*args, **kwargs)
        made._note_read()
        return made

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """As Django's."""
        super().refresh_from_db(*args, **kwargs)
        if not (args or kwargs.keys() - {"using"}):
            self._note_read()

    def _note_read(self) -> None:
        self._checked, self._planned = plan.some(self, values.FIELDS), self.decisive()
        self._kept = plan.kept(self)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Check the values, and plan the next run if what decides on it is new.

        Raises InvalidSchedule, and ScheduleNameTaken.
        """
        alias = kwargs.get("using") or router.db_for_write(Schedule, instance=self)
        only = kwargs.get("update_fields")
        if only is None or {*only} & {*values.FIELDS}:
            self.check_values(alias)
        if self._planned != self.decisive() and (only is None or DECISIVE & {*only}):
            plan.anew(self, store.now(alias))
            self._kept = (self._kept or {}) | dict.fromkeys(plan.PLANNED, ())
            if only is not None:
                kwargs["update_fields"] = {*only, *plan.PLANNED}
        if not (self._state.adding or args or kwargs.keys() - {"using"}):
            kwargs |= self._touched(alias)
        with values.name_taken(self.name):
            super().save(*args, **kwargs)
        self.keep_plan()
        self._kept = plan.kept(self)
        store.announce(alias)

    def _touched(self, alias: str) -> dict[str, Any]:
        """Return what lets save() not write again what keepers may have moved since."""
        now, was = plan.kept(self), self._kept or {}
        if self._state.db != alias or now["id"] != was.get("id"):
            return {}
        same = {name for name in was if was[name] == now[name]}
        names = {field.attname for field in self._meta.concrete_fields}
        return {"update_fields": names - same - self.get_deferred_fields()}

    def check_values(self, alias: str) -> None:
        """Check the values that were changed. Raises InvalidSchedule.

        `alias` is of the database to which they will be written.
        """
        written = plan.some(self, values.FIELDS)
        # What was there before may have been broken since, as by a task that is gone.
        if self._checked == written:
            return
        values.check(self)
        call = plan.some(self, values.CALL)
        if self._checked is None or call != self._checked[: len(call)]:
            calls.demand_database(calls.check(self), self, alias)
        self._checked = plan.some(self, values.FIELDS)

    def decisive(self) -> tuple[Any, ...]:
        """Return the values by which the next run is planned."""
        return plan.some(self, sorted(DECISIVE))

    def keep_plan(self) -> None:
        """Let the next save() plan nothing, unless something changes until then."""
        self._planned = self.decisive()

    def next_runs(self, count: int = 5) -> list[datetime]:
        """Return the next ticks, in UTC, `count` at most."""
        return plan.next_ticks(self, count)

    def run_now(self) -> JobResult:
        """Enqueue a job now, in the caller's transaction; it counts as no tick.

        Raises what enqueue() raises.
        """
        rows = Schedule.objects.using(self._state.db).filter(pk=self.pk)
        with dialects.of(rows.db).one_commit():
            row = rows.select_for_update().get()
            now = store.now(rows.db)
            result = calls.run_now(row, now)
            mine = plan.entry(now, UUID(result.id).hex, "manual")
            self.recent = plan.remembered(row, [mine])
            rows.update(recent=self.recent)
        return result

    @property
    def is_late(self) -> bool:
        """Whether it is due for long, as if no worker were there to fire it."""
        due = plan.aware(self.due_at)
        limit = datetime.now(UTC) - timedelta(seconds=plan.GRACE)
        return due is not None and due < limit

    @property
    def differs(self) -> list[str]:
        """The names of the values that an operator has changed."""
        return values.differing(self)

    def words(self) -> str:
        """Return the cadence in plain English."""
        known = isinstance(self.cadence, Cadence)
        return self.cadence.words() if known else repr(self.cadence)
