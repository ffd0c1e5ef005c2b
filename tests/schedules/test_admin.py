"""Schedules in the admin: what is shown, may be changed, and may be run."""

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import flatten
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone, translation

from dbqueue import At, Cron, Every, schedule
from dbqueue.models import Job
from dbqueue.schedules.declared import declarations, sync
from dbqueue.schedules.firing import looking
from dbqueue.schedules.models import Schedule
from dbqueue.testing import run_jobs
from tests import tasks

pytestmark = pytest.mark.django_db
LIST = "/admin/dbqueue/schedule/"
FORM = {
    "name": "nightly",
    "description": "",
    "enabled": "on",
    "cron": "30 2 * * *",
    "timezone": "Europe/Berlin",
    "every": "",
    "offset": "",
    "at": "",
    "task": "tests.tasks.noop",
    "args": "[]",
    "kwargs": "{}",
    "queue_name": "",
    "priority": "",
    "backend": "",
    "catch_up": "last",
    "catch_up_limit": "1000",
    "overlap": "",
    "jitter": "0",
    "expires": "",
    "max_runs": "",
    "starts_at_0": "",
    "starts_at_1": "",
    "ends_at_0": "",
    "ends_at_1": "",
}


@pytest.fixture
def nightly():
    return Schedule.objects.create(
        name="nightly",
        task="tests.tasks.noop",
        cadence=Cron("30 2 * * *", timezone="Europe/Berlin"),
    )


@pytest.fixture
def log_in(client):
    """Return a function that logs in somebody of the staff with permissions."""

    def log_in(*permissions):
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)

    return log_in


def page_of(row):
    return reverse("admin:dbqueue_schedule_change", args=[row.pk])


def test_the_list_says_when_and_what_became_of_it(admin_client, nightly):
    Schedule.objects.update(next_run_at=timezone.now(), due_at=timezone.now())
    looking.fire_due("default")
    run_jobs()

    text = admin_client.get(LIST).content.decode()

    assert "At 02:30 every day (Europe/Berlin)" in text
    assert "successful in" in text


def test_the_list_asks_few_questions_however_many_there_are(
    admin_client, django_assert_max_num_queries
):
    for number in range(50):
        Schedule.objects.create(
            name=f"s{number}", task="tests.tasks.noop", cadence=Every(3600)
        )
    Schedule.objects.update(next_run_at=timezone.now(), due_at=timezone.now())
    looking.fire_due("default")

    with django_assert_max_num_queries(10):
        admin_client.get(LIST)


def test_a_page_shows_the_next_five_runs_and_the_latest(admin_client, nightly):
    nightly.run_now()

    text = admin_client.get(page_of(nightly)).content.decode()

    moments = nightly.next_runs()
    assert len(moments) == 5
    for moment in moments:
        local = timezone.localtime(moment)
        assert f"{local:%B}"[:3] in text
        zone = moment.astimezone(nightly.cadence.zone).tzname()
        assert f" {local.tzname()} (02:30 {zone})</bdi>" in text
    assert "ready</a>" in text


def test_buttons_and_tabs_stand_where_other_themes_put_them(admin_client, nightly):
    page = admin_client.get(page_of(nightly))

    # Outside of the form, a button names it; the tabs are included before it.
    assert '<input type="submit" form="schedule_form" value="Run now"' in page.text
    assert 'id="schedule_form"' in page.text
    model_admin = page.context["adminform"].model_admin
    assert model_admin.list_before_template in names_of(page)
    assert model_admin.change_form_outer_before_template in names_of(page)


def names_of(page):
    return [template.name for template in page.templates]


def test_a_page_says_the_zone_once_if_there_is_one(admin_client, nightly):
    nightly.cadence = Cron("30 2 * * *", timezone=settings.TIME_ZONE)
    nightly.save()

    text = admin_client.get(page_of(nightly)).text

    local = timezone.localtime(nightly.next_runs(1)[0])
    assert f" {local.tzname()}</bdi></div>" in text


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("de", "Um 02:30 jeden Tag"),
        ("fr", "À 02:30 tous les jours"),
        ("es", "A las 02:30 todos los días"),
        ("ar", "في الساعة 02:30 كل يوم"),
    ],
)
def test_times_are_said_in_the_language_of_the_reader(
    admin_client, nightly, language, words
):
    with translation.override(language):
        text = admin_client.get(LIST).text

    assert f"{words} (Europe/Berlin)" in text


@pytest.mark.parametrize(
    ("fields", "cadence"),
    [
        ({}, Cron("30 2 * * *", timezone="Europe/Berlin")),
        (
            {"cron": "", "every": "06:00:00", "offset": "00:10:00"},
            Every(21_600, offset=600),
        ),
        ({"cron": "", "at": "2100-01-01 12:00\n"}, None),
    ],
)
def test_one_is_made_and_changed_by_its_form(admin_client, fields, cadence):
    admin_client.post(f"{LIST}add/", FORM | fields)

    row = Schedule.objects.get()
    if cadence is None:
        local = timezone.make_aware(timezone.datetime(2100, 1, 1, 12))
        cadence = At(local)
    assert row.cadence == cadence
    assert row.next_run_at > timezone.now()
    again = admin_client.get(page_of(row)).context["adminform"].form.initial
    kept = {
        name: again.get(name) for name in ("cron", "every", "at") if again.get(name)
    }
    assert len(kept) == 1

    changed = FORM | {"cron": "@daily", "priority": "9", "args": "[1]"}
    admin_client.post(page_of(row), changed)

    row.refresh_from_db()
    assert (row.priority, row.args) == (9, [1])
    assert row.cadence == Cron("@daily", timezone="Europe/Berlin")
    assert [entry.action_flag for entry in LogEntry.objects.order_by("pk")] == [1, 2]


def test_what_a_schedule_has_not_is_a_dash_on_its_page(admin_client, nightly):
    Schedule.objects.update(enabled=False)

    for address in (page_of(nightly), f"{LIST}add/"):
        text = admin_client.get(address).content.decode()

        assert ">None<" not in text


def test_both_days_may_be_wanted_by_the_form(admin_client):
    line = {"cron": "0 8 13 * fri"}
    admin_client.post(f"{LIST}add/", FORM | line | {"both_days": "on"})
    row = Schedule.objects.get()
    assert row.cadence.both_days
    form = admin_client.get(page_of(row)).context["adminform"].form
    assert form["both_days"].value() is True

    admin_client.post(page_of(row), FORM | line)

    row.refresh_from_db()
    assert row.cadence == Cron("0 8 13 * fri", timezone="Europe/Berlin")


def test_each_value_of_a_schedule_is_on_its_page(admin_client, nightly):
    form = admin_client.get(page_of(nightly)).context["adminform"]

    shown = {name for _, part in form.fieldsets for name in flatten(part["fields"])}
    # What these show of it.
    shown |= {"cadence"} if {"cron", "every", "at"} <= shown else set()
    shown |= {"declared"} if "changes" in shown else set()
    shown |= {"next_run_at", "due_at"} if "upcoming" in shown else set()
    shown |= {"recent", "last_run_at", "last_job_id"} if "latest" in shown else set()
    fields = {field.name for field in Schedule._meta.get_fields()}
    assert fields - shown == {"id"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "0 0 31 4 *"}, "Bad day-of-month"),
        ({"cron": ""}, "Fill in one of"),
        ({"every": "01:00:00"}, "Fill in one of"),
        ({"cron": "", "every": "00:00:00.1"}, "a second or longer"),
        ({"cron": "", "at": "soon"}, "an aware datetime"),
        ({"task": "tests.tasks.gone"}, "cannot be imported"),
        ({"task": "tests.schedules.tasks.pair"}, "cannot be called"),
        ({"args": '{"a": 1}'}, "a list"),
        ({"args": "{"}, "valid JSON"),
        ({"queue_name": "*"}, "without any of"),
        ({"jitter": "-1"}, "0 or more"),
        ({"priority": "1000"}, "between -100 and 100"),
        ({"timezone": "Mars"}, "not one of the available choices"),
    ],
)
def test_a_form_says_what_is_wrong(admin_client, fields, words):
    answer = admin_client.post(f"{LIST}add/", FORM | fields)

    assert words in answer.content.decode()
    assert not Schedule.objects.exists()


def test_a_taken_name_is_told_by_the_form(admin_client, nightly):
    answer = admin_client.post(f"{LIST}add/", FORM)

    assert "already exists" in answer.content.decode()


def test_it_is_run_now_by_whoever_may(client, log_in, nightly):
    log_in("view_schedule")
    url = reverse("admin:dbqueue_schedule_run_now", args=[nightly.pk])
    assert client.post(url).status_code == 403
    assert "Run now" not in client.get(page_of(nightly)).content.decode()
    client.post(LIST, {"action": "run_now", "_selected_action": [nightly.pk]})
    client.post(LIST, {"action": "disable", "_selected_action": [nightly.pk]})
    assert Schedule.objects.get().enabled
    assert not Job.objects.exists()

    User.objects.all().delete()
    log_in("view_schedule", "run_schedule")
    assert client.get(url).status_code == 405
    assert "Run now" in client.get(page_of(nightly)).content.decode()
    client.post(url)

    job = Job.objects.get()
    assert str(job.pk) in LogEntry.objects.get().change_message


def test_actions_enable_and_disable(admin_client, nightly):
    for action, enabled in (("disable", False), ("enable", True)):
        admin_client.post(LIST, {"action": action, "_selected_action": [nightly.pk]})

        row = Schedule.objects.get()
        assert row.enabled is enabled
        assert (row.due_at is not None) is enabled
    assert LogEntry.objects.count() == 2


def test_changes_of_a_declared_one_are_shown_and_undone(admin_client, monkeypatch):
    monkeypatch.setattr(declarations, "declared", {})
    schedule(tasks.noop, Every(3600), name="nightly")
    sync.sync("default")
    row = Schedule.objects.get()
    assert not admin_client.get(page_of(row)).context["has_delete_permission"]
    admin_client.post(page_of(row), FORM)

    text = admin_client.get(page_of(row)).content.decode()
    assert "declared as" in text
    assert "Undo changes" in text
    assert "changed here" in admin_client.get(LIST).content.decode()
    admin_client.post(reverse("admin:dbqueue_schedule_reset", args=[row.pk]))

    row.refresh_from_db()
    assert (row.cadence, row.differs) == (Every(3600), [])


def test_a_row_that_is_broken_is_shown(admin_client, nightly):
    Schedule.objects.update(
        cadence={"cron": "nonsense"},
        recent=[5, {"tick": "2026-01-01T00:00:00+00:00"}, {"tick": "x"}],
        problem="It is broken.",
    )

    assert "It is broken." in admin_client.get(LIST).content.decode()
    assert admin_client.get(page_of(nightly)).status_code == 200
    assert admin_client.get(f"{LIST}?state=problem").status_code == 200
    for state in ("enabled", "disabled", "retired"):
        assert admin_client.get(f"{LIST}?state={state}").status_code == 200
