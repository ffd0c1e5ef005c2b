import time
from uuid import UUID

import pytest

from dbqueue import ids
from dbqueue.ids import hex7s, uuid7
from tests.support.workers import together


def test_an_id_is_a_uuid_of_version_7():
    id = uuid7()

    assert id.version == 7
    assert id.variant == "specified in RFC 4122"


def test_an_id_carries_the_time_in_milliseconds(monkeypatch):
    # Another test may have travelled into the future.
    monkeypatch.setattr(ids, "_last_tick", 0)
    before = time.time_ns() // 1_000_000

    milliseconds = uuid7().int >> 80

    assert before <= milliseconds <= time.time_ns() // 1_000_000 + 10


def test_ids_grow_even_within_one_tick_of_the_clock():
    made = [uuid7() for _ in range(10_000)]

    assert made == sorted(set(made))


def test_ids_made_together_are_in_order_with_those_before_and_after():
    made = [uuid7().hex, *hex7s(10_000), uuid7().hex, *hex7s(0), *hex7s(1), uuid7().hex]

    assert len(made) == 10_004
    assert made == sorted(set(made))
    assert {UUID(id).version for id in made} == {7}


@pytest.mark.parametrize(
    "make", [lambda: [uuid7() for _ in range(2_000)], lambda: hex7s(2_000)]
)
def test_threads_never_make_the_same_id(make):
    batches = together(*[make] * 4)

    assert len({id for batch in batches for id in batch}) == 8_000
