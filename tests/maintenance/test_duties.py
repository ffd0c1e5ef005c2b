"""When duties of a keeper are done."""

import time
from contextlib import suppress

from dbqueue.maintenance.duties import PATIENCE, Duty


def test_a_duty_that_may_take_too_long_gives_way_to_a_moment():
    now = time.monotonic()
    duty = Duty(60.0, lambda alias: None, due_at=now, took=0.1)

    assert duty.begins_at(now + 0.5) == now
    assert duty.begins_at(now + 0.05) == now + 0.05


def test_a_duty_gives_way_for_a_while_alone():
    now = time.monotonic()
    duty = Duty(60.0, lambda alias: None, due_at=now - PATIENCE, took=0.1)

    assert duty.begins_at(now + 0.05) <= now


def test_a_duty_notes_how_long_it_took_also_when_it_fails():
    def fail(alias):
        time.sleep(0.01)
        raise ValueError

    duty = Duty(60.0, fail)
    with suppress(ValueError):
        duty.do("default")

    assert duty.took >= 0.01
