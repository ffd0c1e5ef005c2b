import time

from dbqueue.ids import uuid7
from tests.workers import together


def test_an_id_is_a_uuid_of_version_7():
    id = uuid7()

    assert id.version == 7
    assert id.variant == "specified in RFC 4122"


def test_an_id_carries_the_time_in_milliseconds():
    before = time.time_ns() // 1_000_000

    milliseconds = uuid7().int >> 80

    assert before <= milliseconds <= time.time_ns() // 1_000_000 + 10


def test_ids_grow_even_within_one_tick_of_the_clock():
    ids = [uuid7() for _ in range(10_000)]

    assert ids == sorted(set(ids))


def test_threads_never_make_the_same_id():
    batches = together(*[lambda: [uuid7() for _ in range(2_000)]] * 4)

    assert len({id for batch in batches for id in batch}) == 8_000
