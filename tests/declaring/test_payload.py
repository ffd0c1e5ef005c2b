import enum
import json
from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy

from dbqueue import bind_context
from dbqueue.exceptions import InvalidPayload, PayloadTooLarge
from dbqueue.models import Job
from dbqueue.tasks import payload
from dbqueue.testing import run_jobs
from tests.tasks import echo, noop, return_bytes


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Name(str):
    pass


def in_itself():
    items = []
    items.append(items)
    return items


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -1, 10**30, 1.5, -2.25e-7, "", "text", "é 語 🙂"),
        *([], {}, [1, [2, [3]]], {"a": {"b": [None]}}, {"": ""}, "\u2028\x01\x7f"),
    ],
)
def test_json_passes_as_it_is(value):
    assert payload.normalize(value, "It") == value


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (Colour.RED, "red"),
        (Size.LARGE, 3),
        (Name("Ada"), "Ada"),
        ((1, (2, 3)), [1, [2, 3]]),
        (OrderedDict(a=1), {"a": 1}),
        ({Colour.RED: Size.LARGE}, {"red": 3}),
        (SimpleLazyObject(lambda: "lazy"), "lazy"),
    ],
)
def test_what_json_knows_by_another_type_becomes_plain(value, becomes):
    plain = payload.normalize(value, "It")

    assert plain == becomes
    assert type(plain) is type(becomes)
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "is nan, which JSON does not have"),
        (float("inf"), "is inf, which JSON does not have"),
        (float("-inf"), "is -inf, which JSON does not have"),
        ("a\x00b", "contains a NUL character, which Postgres refuses"),
        ("\ud800", "contains a lone surrogate"),
        (b"bytes", "is of type 'bytes', .* Store the bytes"),
        (bytearray(b"x"), "is of type 'bytearray', .* Store the bytes"),
        ({1, 2}, r"is of type 'set', .* Pass sorted\(value\)"),
        (frozenset(), "is of type 'frozenset'"),
        (datetime.now(UTC), r"is of type 'datetime', .* Pass value\.isoformat\(\)"),
        (date.today(), "is of type 'date'"),
        (time(), "is of type 'time'"),
        (timedelta(1), r"is of type 'timedelta', .* Pass value\.total_seconds\(\)"),
        (Decimal("1.5"), r"is of type 'Decimal', .* Pass str\(value\)"),
        (UUID(int=1), r"is of type 'UUID', .* Pass str\(value\)"),
        (Group(name="x"), "is of type 'Group', .* Pass its pk"),
        (Group.objects.none(), "is of type 'QuerySet', .* primary keys"),
        (lambda: None, "is of type 'function', which is not JSON"),
        (object(), "is of type 'object', which is not JSON"),
        (1j, "is of type 'complex'"),
        (gettext_lazy("Yes"), r"is a lazy string\. Pass str\(value\)"),
        ({1: "a"}, r"has the key 1; .* Pass str\(key\)"),
        ({None: "a"}, "has the key None"),
        ({("a", 1): 2}, r"has the key \('a', 1\)"),
        ({"\x00": 1}, "contains a NUL"),
        ({"\udfff": 1}, "contains a lone surrogate"),
    ],
)
def test_what_json_would_change_is_refused_with_argument_and_reason(value, reason):
    with pytest.raises(InvalidPayload, match=f"^Argument 2 {reason}"):
        payload.arguments(["fine", value], {})
    with pytest.raises(InvalidPayload, match=f"^Argument 'name' {reason}"):
        payload.arguments([], {"name": value})


def test_a_refusal_is_a_type_error_as_django_wants_it():
    with pytest.raises(TypeError):
        payload.arguments([object()], {})


def test_a_refusal_names_the_place_inside_an_argument():
    person = {"name": "Ada", "tags": ["a", {"when": date.today()}]}

    with pytest.raises(
        InvalidPayload, match=r"1\['tags'\]\[1\]\['when'\] is of type 'date'"
    ):
        payload.arguments([person], {})


def test_an_argument_inside_itself_is_refused():
    with pytest.raises(InvalidPayload, match="nested too deeply, or contains itself"):
        payload.arguments([in_itself()], {})


def test_a_number_of_too_many_digits_is_refused():
    with pytest.raises(InvalidPayload, match="The arguments cannot be written as JSON"):
        payload.dump([10**5000], "The arguments")


def test_size_is_counted_in_bytes():
    with override_settings(DBQUEUE={"MAX_PAYLOAD": 100}):
        assert payload.dump("x" * 98, "It") == f'"{"x" * 98}"'
        with pytest.raises(PayloadTooLarge, match="It: 101 bytes of JSON; the limit"):
            payload.dump("x" * 99, "It")
        with pytest.raises(PayloadTooLarge, match="It: 102 bytes"):
            payload.dump("é" * 50, "It")


def test_printable_text_keeps_what_a_database_takes():
    assert payload.printable("a\x00b\ud800c é🙂") == "a\\x00b\\ud800c é🙂"


@pytest.mark.django_db
class TestAJob:
    def test_a_job_is_not_written_for_an_argument_that_is_refused(self):
        with pytest.raises(InvalidPayload, match="Argument 'x' contains a NUL"):
            noop.enqueue(x="\x00")

        assert not Job.objects.exists()

    def test_a_job_is_not_written_for_arguments_that_are_too_large(self):
        with pytest.raises(PayloadTooLarge, match=r"The arguments: .* raise DBQUEUE"):
            noop.enqueue("x" * 1_100_000)
        with pytest.raises(PayloadTooLarge, match="The keyword arguments: "):
            noop.enqueue(x="x" * 1_100_000)

        assert not Job.objects.exists()

    @bind_context(trace="x" * 1_100_000)
    def test_a_job_is_not_written_with_a_context_that_is_too_large(self):
        with pytest.raises(PayloadTooLarge, match="The context: "):
            noop.enqueue()

        assert not Job.objects.exists()

    @pytest.mark.parametrize(
        "value",
        [
            *(None, True, 0, -1, 10**30, 1.5, "", "é 語 🙂 \u2028 \x01 \\ \" '"),
            *([], {}, [[], {}, [None]], {"b": 1, "a": {"": []}}, "%s %(a)s ? $1 {}"),
        ],
    )
    def test_a_job_receives_and_returns_what_was_passed(self, value):
        result = echo.enqueue(value)
        run_jobs()
        result.refresh()

        assert result.args == [value]
        assert result.return_value == value
        assert type(result.return_value) is type(value)

    @pytest.mark.parametrize("value", [1e15, 1e16, 1e22, 1e23, -1e300, -0.0, 5e-324])
    def test_a_job_receives_and_returns_the_same_number_on_every_database(self, value):
        result = echo.enqueue(value)
        before = list(result.args)
        run_jobs()
        result.refresh()

        assert result.args == before == [value]
        assert repr(result.args) == repr(before)
        assert repr(result.return_value) == repr(before[0])

    def test_a_job_receives_a_large_argument_whole(self):
        text = "語" * 300_000
        with override_settings(DBQUEUE={"MAX_PAYLOAD": 1_000_000}):
            result = echo.enqueue(text)
            run_jobs()
        result.refresh()

        assert result.return_value == text

    def test_a_job_fails_at_once_for_a_result_of_50_mb(self):
        result = return_bytes.enqueue(50_000_000)
        run_jobs()
        result.refresh()

        assert (result.status, result.attempts) == ("FAILED", 1)
        (error,) = result.errors
        assert error.exception_class is PayloadTooLarge
        assert "The result: 50,000,002 bytes of JSON" in error.traceback
