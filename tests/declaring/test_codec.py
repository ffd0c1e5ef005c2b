"""The codec "typed": what arrives in a job is what was sent, of the same type."""

import json
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import freezegun
import pytest
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils import timezone as django_timezone
from django.utils.functional import SimpleLazyObject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbqueue import enqueue, enqueue_many, task
from dbqueue.exceptions import InvalidPayload, PayloadTooLarge
from dbqueue.models import FinishedJob, Job
from dbqueue.tasks import tags, typed
from dbqueue.tasks.framework import InvalidTask, task_backends, task_finished
from dbqueue.tasks.tags import ModelReference
from dbqueue.testing import assert_enqueued, run_jobs
from tests import tasks
from tests.gallery.models import Paper
from tests.support.workers import drain, heard

pytestmark = pytest.mark.django_db

PARIS = ZoneInfo("Europe/Paris")
VALUES = [
    datetime(2026, 1, 5, 10, 11, 12, 131415),
    datetime(2026, 1, 5, 10, tzinfo=UTC),
    datetime(2026, 1, 5, 10, tzinfo=timezone(timedelta(hours=-9, minutes=-30))),
    datetime(1900, 1, 5, tzinfo=timezone(timedelta(seconds=561, microseconds=7))),
    datetime(2026, 7, 5, 10, tzinfo=PARIS),
    datetime(2026, 10, 25, 2, 30, tzinfo=PARIS, fold=1),
    datetime(2026, 10, 25, 2, 30, fold=1),
    datetime.min,
    datetime.max,
    date(2026, 1, 5),
    date.min,
    time(1, 2, 3, 4),
    time(1, 2, tzinfo=PARIS, fold=1),
    time(1, 2, tzinfo=UTC),
    timedelta(days=-3, microseconds=7),
    timedelta.max,
    timedelta.min,
    b"",
    b"\x00\xff text",
    Decimal("1.10"),
    Decimal("-0"),
    Decimal("1E+999999"),
    Decimal("Infinity"),
    UUID("01234567-89ab-cdef-0123-456789abcdef"),
    # What a tag looks like, and what it is made of.
    {"$type": "date", "value": "2026-01-05"},
    {"$type": "dict", "value": {"$type": "model"}},
    {"$type": date(2026, 1, 5)},
    {"$type": "model", "value": ["auth.User", 1, "default"]},
    {"typed": [1]},
    # Plain JSON.
    [None, True, 1, 1.5, "ü", [], {}, {"a": [{"b": Decimal(1)}]}],
]


def sent(value):
    """Return the value as a row gives it back."""
    text = json.dumps(json.loads(typed.call(tasks.send_typed, [value], {}).args_text))
    ((arrived,), _) = typed.arguments(json.loads(text), {}, None)
    return arrived


def is_same(one, two):
    if isinstance(one, list):
        return len(one) == len(two) and all(map(is_same, one, two))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(is_same(one[k], two[k]) for k in one)
    attributes = ("fold", "tzinfo")
    return (
        type(one) is type(two)
        and str(one) == str(two)
        and all(getattr(one, a, None) == getattr(two, a, None) for a in attributes)
    )


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_arrives_as_it_was_sent(value):
    assert is_same(sent(value), value)


def test_all_values_pass_through_a_job_and_come_back():
    result = tasks.send_typed.enqueue(VALUES, named=VALUES)
    assert is_same(result.args, [VALUES])

    (ended,) = run_jobs()

    assert ended.state == "SUCCESSFUL"
    assert is_same(ended.return_value, [VALUES, VALUES])
    assert is_same(ended.args, [VALUES])
    assert is_same(ended.kwargs, {"named": VALUES})


KEYS = st.one_of(
    st.sampled_from(["$type", "value", "typed"]), st.text("ab$", max_size=3)
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.datetimes(timezones=st.one_of(st.none(), st.timezones())),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.uuids(),
    st.binary(),
    st.sampled_from(["date", "dict", "model", "UUID"]),
)


@given(
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner) | st.dictionaries(KEYS, inner),
        max_leaves=12,
    )
)
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_is_nested_arrives_as_it_was_sent(value):
    assert is_same(sent(value), value)


class Pacific(tzinfo):
    def utcoffset(self, moment):
        return timedelta(hours=-8)


class Later(datetime):
    def isoformat(self):
        return "not a time"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (bytearray(b"bytes"), "Argument 1 .*bytearray"),
        ({1, 2}, r"Argument 1 .*set.*sorted"),
        ([{"a": object()}], r"Argument 1\[0\]\['a'\] .*object"),
        ({"$type": object()}, "object"),
        ({1: 2}, "has the key 1"),
        (datetime(2026, 1, 5, tzinfo=Pacific()), "tzinfo"),
        (Later(2026, 1, 5), "no standard type can hold"),
        (
            User(username="new"),
            r"Argument 1 is an instance of auth.User that is not in the database",
        ),
        (User(pk=5), "not in the database"),
        (AnonymousUser(), "AnonymousUser"),
        (float("nan"), "nan"),
        ("\ud800", "surrogate"),
        ({"$type": "\0"}, "NUL"),
    ],
)
def test_what_no_tag_is_for_is_refused_when_it_is_enqueued(value, words):
    with pytest.raises(InvalidPayload, match=words):
        tasks.send_typed.enqueue(value)
    assert not Job.objects.exists()


def test_what_contains_itself_is_refused():
    value = []
    value.append(value)

    with pytest.raises(InvalidPayload, match="contains itself"):
        tasks.send_typed.enqueue(value)


def test_a_query_set_is_refused():
    with pytest.raises(InvalidPayload, match="QuerySet"):
        tasks.send_typed.enqueue(Group.objects.all())


def test_typed_arguments_have_the_limit_that_others_have(settings):
    settings.DBQUEUE = {"MAX_PAYLOAD": 100}

    with pytest.raises(PayloadTooLarge):
        tasks.send_typed.enqueue([date(2026, 1, 5)] * 10)


def test_a_moment_in_time_that_a_test_has_frozen_is_sent_as_any_other():
    with freezegun.freeze_time("2030-01-01"):
        tasks.send_typed.enqueue(django_timezone.now())

    (ended,) = run_jobs()

    assert ended.return_value == [datetime(2030, 1, 1, tzinfo=UTC), None]


class TestModelInstances:
    def test_an_instance_is_as_it_is_when_the_job_runs(self):
        group = Group.objects.create(name="before")
        tasks.tell_group.enqueue(group)
        Group.objects.update(name="after")

        (ended,) = run_jobs()

        assert ended.return_value == "after"
        assert ended.args == [group]
        assert ended.args[0].name == "after"

    def test_an_async_job_gets_instances_too(self):
        group = Group.objects.create(name="async")
        tasks.atell_group.enqueue(group)

        (ended,) = run_jobs()

        assert ended.return_value == [group, "async"]

    def test_an_instance_that_only_claims_to_be_one_is_sent_as_what_it_is(self):
        user = User.objects.create_user("ada")
        tasks.send_typed.enqueue(SimpleLazyObject(lambda: user))

        (ended,) = run_jobs()

        assert ended.return_value == [user, None]
        assert type(ended.return_value[0]) is User

    def test_many_instances_of_a_model_are_fetched_with_one_query(
        self, django_assert_num_queries
    ):
        groups = [Group.objects.create(name=str(n)) for n in range(20)]
        row = typed.call(tasks.send_typed, [groups], {})

        with django_assert_num_queries(1):
            found = typed.instances(json.loads(row.args_text), {})

        assert set(found.values()) == set(groups)

    def test_an_instance_that_is_gone_ends_the_job_at_once_in_words(self):
        group = Group.objects.create(name="gone")
        pk = group.pk
        result = tasks.tell_group.enqueue(group)
        Group.objects.all().delete()

        with heard(task_finished) as ends:
            run_jobs()

        result.refresh()
        assert (result.state, result.attempts) == ("FAILED", 1)
        (error,) = result.errors
        assert error.exception_class_path == "dbqueue.exceptions.InstanceGone"
        assert f"auth.Group {pk}" in error.traceback
        reference = ModelReference("auth.Group", pk, "default")
        assert tasks.tell_group.get_result(result.id).args == [reference]
        assert [end.args for _, end in ends] == [[reference]]

    @pytest.mark.parametrize(
        ("label", "database"), [("no.Model", "default"), ("auth.Group", "nowhere")]
    )
    def test_an_instance_of_what_there_is_no_longer_ends_the_job(self, label, database):
        result = tasks.send_typed.enqueue(0)
        tag = {"$type": "model", "value": [label, 1, database]}
        Job.objects.update(args={"typed": [tag]})

        run_jobs()

        result.refresh()
        assert result.errors[0].exception_class_path.endswith("InstanceGone")

    def test_a_key_that_was_given_as_text_finds_its_instance(self):
        paper = Paper(id="01234567-89ab-cdef-0123-456789abcdef")
        paper.save()

        tasks.send_typed.enqueue(paper)

        (ended,) = run_jobs()

        assert ended.return_value == [Paper.objects.get(), None]

    def test_a_key_that_its_field_cannot_have_is_refused(self):
        paper = Paper.objects.create()
        paper.pk = "one"

        with pytest.raises(InvalidPayload, match=r"gallery.Paper .* is 'one': .*UUID"):
            tasks.send_typed.enqueue(paper)

    def test_keys_of_any_type_of_the_codec_are_kept(self):
        class Keyed(models.Model):
            id = models.UUIDField(primary_key=True)

            class Meta:
                app_label = "tests"

            def __str__(self):
                return str(self.id)

        keyed = Keyed(id=uuid4())
        keyed._state.adding = False

        seen = {}
        packed = tags.pack(keyed, "It", seen)

        assert tags.unpack(packed, seen.__getitem__) is keyed


FORGED = [
    {"$type": "os.system", "value": "id"},
    {"$type": "builtins.eval", "value": "1"},
    {"$type": ["date"], "value": "2026-01-05"},
    {"$type": {}, "value": 1},
    {"$type": "date"},
    {"$type": "date", "value": 7},
    {"$type": "date", "value": "no date"},
    {"$type": "Decimal", "value": "x"},
    {"$type": "Decimal", "value": {"a": 1}},
    {"$type": "UUID", "value": None},
    {"$type": "timedelta", "value": [10**30]},
    {"$type": "timedelta", "value": "x"},
    {"$type": "datetime", "value": ["2026-01-05", 0, "../../etc/passwd"]},
    {"$type": "datetime", "value": ["2026-01-05", 0, "No/Where"]},
    {"$type": "datetime", "value": ["2026-01-05", 9, None]},
    {"$type": "model", "value": "auth.User"},
    {"$type": "model", "value": [{"a": 1}, 1, "default"]},
    {"$type": "model", "value": ["auth.User", {"a": 1}, "default"]},
    {"$type": "model", "value": ["auth.User", "x", "default"]},
    {"$type": "model", "value": ["auth.User", 1, ["default"]]},
    {"$type": "dict", "value": []},
]


ENVELOPES = [{"typed": 1}, {"typed": [], "x": 1}, {"x": []}, {}, {"typed": {}}]


def test_forged_tags_and_damaged_envelopes_fail_their_job_and_no_other():
    for args in [*({"typed": [tag]} for tag in FORGED), *ENVELOPES]:
        result = tasks.send_typed.enqueue(0)
        Job.objects.filter(pk=result.id).update(args=args)
    tasks.add.enqueue(1, 2)
    count = Job.objects.count()

    assert len(run_jobs()) == count

    ended = FinishedJob.objects.exclude(task="tests.tasks.add")
    assert ended.count() == count - 1
    assert {row.state for row in ended} == {"FAILED"}
    assert {row.attempt_log[0]["exception"] for row in ended} == {
        "dbqueue.exceptions.InvalidPayload",
        "dbqueue.exceptions.InstanceGone",
    }
    assert FinishedJob.objects.get(task="tests.tasks.add").state == "SUCCESSFUL"


class TestOptIn:
    def test_without_the_codec_a_tag_is_a_dict_as_any_other(self):
        tag = {"$type": "date", "value": "2026-01-05"}
        tasks.echo.enqueue(tag)
        tasks.echo.enqueue({"typed": [tag]})

        assert [r.return_value for r in run_jobs()] == [tag, {"typed": [tag]}]

    def test_without_the_codec_rows_are_plain_json(self):
        tasks.echo.enqueue([1])

        assert Job.objects.get().args == [[1]]

    def test_a_backend_may_ask_for_it_and_a_task_may_refuse(self, settings):
        entry = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": []}
        settings.TASKS = {"default": {**entry, "OPTIONS": {"codec": "typed"}}}

        tasks.echo.enqueue(date(2026, 1, 5))
        with pytest.raises(InvalidPayload):
            tasks.echo_json.enqueue(date(2026, 1, 5))

        assert [r.return_value for r in run_jobs()] == [date(2026, 1, 5)]

    def test_a_row_says_itself_how_it_is_to_be_read(self, settings):
        result = tasks.send_typed.enqueue(date(2026, 1, 5))
        Job.objects.update(task="tests.tasks.echo")

        run_jobs()

        (row,) = FinishedJob.objects.all()
        assert row.result == {"$type": "date", "value": "2026-01-05"}
        backend = task_backends["default"]
        assert backend.get_result(result.id).return_value == date(2026, 1, 5)

    @pytest.mark.parametrize("codec", ["pickle", "", 7, ["typed"]])
    def test_another_codec_is_refused(self, settings, codec):
        with pytest.raises(InvalidTask, match="must be one of json, typed"):
            task(codec=codec)(tasks.add.func)
        entry = {"BACKEND": "dbqueue.backend.DatabaseBackend", "QUEUES": []}
        settings.TASKS = {"default": {**entry, "OPTIONS": {"codec": codec}}}
        with pytest.raises(ImproperlyConfigured, match="must be one of json, typed"):
            tasks.add.enqueue(1, 2)


class TestEverywhere:
    def test_many_typed_jobs_are_written_at_once(self):
        days = [date(2026, 1, day) for day in range(1, 4)]
        results = enqueue_many(tasks.send_typed, [(day,) for day in days])
        enqueue_many(tasks.send_typed, [{"value": days[0], "named": Decimal("1.0")}])

        assert [result.args for result in results] == [[day] for day in days]
        returned = [result.return_value for result in run_jobs()]
        assert returned == [[day, None] for day in days] + [[days[0], Decimal("1.0")]]

    @pytest.mark.django_db(transaction=True)
    def test_a_worker_runs_typed_jobs(self):
        result = enqueue("tests.tasks.send_typed", OrderedDict(a=Decimal("1.50")))

        drain()

        result.refresh()
        assert str(result.return_value[0]["a"]) == "1.50"

    def test_assertions_compare_typed_arguments(self):
        group = Group.objects.create(name="x")
        tasks.send_typed.enqueue(group, named=date(2026, 1, 5))

        assert_enqueued(tasks.send_typed, args=[group])
        assert_enqueued(tasks.send_typed, kwargs={"named": date(2026, 1, 5)}, count=1)
        assert_enqueued(tasks.send_typed, args=[group.pk], count=0)

    @pytest.mark.parametrize("name", ["ImmediateBackend", "RecordingBackend"])
    def test_the_backends_for_tests_know_the_codec(self, settings, name):
        entry = {"BACKEND": f"dbqueue.testing.{name}", "QUEUES": []}
        settings.TASKS = {"default": entry}
        group = Group.objects.create(name="x")

        result = tasks.send_typed.enqueue(group, named=Decimal("1.0"))

        assert result.args == [group]
        if name == "ImmediateBackend":
            assert result.return_value == [group, Decimal("1.0")]
        enqueue_many(tasks.send_typed, [(date(2026, 1, 5),)])
        assert_enqueued(tasks.send_typed, args=[date(2026, 1, 5)], count=1)

    def test_a_receiver_gets_the_values_and_not_the_tags(self):
        group = Group.objects.create(name="x")
        tasks.send_typed.enqueue(group)

        with heard(task_finished) as ends:
            run_jobs()

        ((_, result),) = ends
        assert (result.args, result.return_value) == ([group], [group, None])

    def test_the_context_of_a_job_has_typed_arguments_too(self):
        day = date(2026, 1, 5)
        tasks.tell_own_arguments.enqueue(day)

        assert [r.return_value for r in run_jobs()] == [[day]]
