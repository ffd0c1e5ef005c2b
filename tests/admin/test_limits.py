"""The pages of limits: who holds, who waits, and what operators change."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext

from dbqueue import enqueue, enqueue_many, limits, queues
from dbqueue.limits.admin import seen
from dbqueue.limits.models import LimitRule
from dbqueue.models import Pause
from tests.admin.rows import VIEW, address, client_of
from tests.support import limited_tasks as limited
from tests.support.lanes import ready
from tests.support.workers import HandWorker

pytestmark = pytest.mark.django_db(transaction=True)
SEE = (*VIEW, "view_limitrule")


def page(client, *args, **params):
    name = "limit" if args else "limits"
    response = client.get(address(name, *args), params)
    assert response.status_code == 200
    return response


def by_name(response):
    return {
        line.rule.name: (line, allows) for line, allows, _ in response.context["lines"]
    }


def lane(response, value):
    found = response.context["line"].lanes
    return next(line for line in found if line.value == value)


class TestTheList:
    def test_it_says_what_is_allowed_who_holds_and_who_waits(self, admin_client):
        enqueue_many(limited.two, [()] * 7)
        enqueue(limited.paced)
        enqueue(limited.step, 1)
        enqueue(limited.share, "a")
        ready()
        HandWorker().claim(1)

        found = by_name(page(admin_client))

        two, allows = found["two"]
        assert (two.held, two.most, two.waiting, allows) == (2, 2, 5, "2 at once")
        assert found["paced"][1] == "10 in 1 h, 3 together"
        assert "in order" in found["order"][1]
        assert found["tenants"][1] == "in turns"

    def test_keyed_limits_count_their_full_lanes(self, admin_client):
        for user in "aabbc":
            enqueue(limited.one, user)
        ready()
        HandWorker().claim(10)

        line, _ = by_name(page(admin_client))["one"]

        assert (line.held, line.most, line.waiting, line.full) == (3, None, 2, 2)

    def test_counts_are_capped(self, admin_client, monkeypatch):
        monkeypatch.setattr(seen, "MOST_COUNTED", 20)
        enqueue_many(limited.two, [()] * 60)
        ready()

        line, _ = by_name(page(admin_client))["two"]

        assert str(line.waiting).endswith("+")

    def test_an_override_and_a_pause_say_who(self, admin_client):
        enqueue(limited.two)
        limits.set("two", concurrency=9, by="ada")
        queues.pause("limit:two", by="grace", reason="too hot")

        text = page(admin_client).text

        assert "9 at once" in text
        assert "set by ada" in text
        assert "by grace" in text
        assert "too hot" in text

    def test_without_limits_it_says_how_one_comes_there(self, admin_client):
        assert "No limit is declared yet" in page(admin_client).text


class TestTheLimit:
    def test_holders_are_jobs_with_their_workers(self, admin_client):
        enqueue(limited.one, "ada")
        enqueue(limited.one, "ada")
        ready()
        (job,) = HandWorker().claim()

        response = page(admin_client, "one")

        line = lane(response, "ada")
        assert (line.held, line.most, line.waiting) == (1, 1, 1)
        assert [(h.id, h.worker) for h in line.holders] == [(job.id, "hand")]
        assert address("job_change", job.id) in response.text

    def test_a_lane_is_found_by_its_value(self, admin_client):
        for user in ("ada", "b/c?&", ""):
            enqueue(limited.one, user)
        ready()

        response = page(admin_client, "one", lane="b/c?&")

        assert [line.value for line in response.context["line"].lanes] == ["b/c?&"]

    def test_a_fair_group_shows_its_lanes_and_all_together(self, admin_client):
        for tenant in "aab":
            enqueue(limited.together, tenant)
        ready()
        HandWorker().claim(2)

        response = page(admin_client, "all of them")

        line = response.context["line"]
        assert line.group.most == 4
        assert "All lanes together" in response.text

    def test_unknown_limits_are_not_found(self, admin_client):
        assert admin_client.get(address("limit", "nope")).status_code == 404

    def test_pages_ask_few_queries(self, admin_client):
        for n in range(30):
            enqueue(limited.one, n)
            enqueue(limited.share, n)
            enqueue(limited.two)
        ready()
        HandWorker().claim(20)
        limits.set("one", concurrency=2, lane="3", by="ada")
        page(admin_client, "one")  # after it, kinds of content are known

        for args in ((), ("one",), ("tenants",), ("two",)):
            with CaptureQueriesContext(connection) as captured:
                page(admin_client, *args)
            assert len(captured) <= 10, "\n".join(q["sql"][:150] for q in captured)


class TestOrders:
    def post(self, client, name="two", **data):
        return client.post(address("limit", name), data, follow=True)

    def test_a_limit_is_set_and_taken_back_and_logged(self):
        enqueue_many(limited.two, [()] * 6)
        ready()
        client = client_of(*SEE, "change_limitrule")

        assert self.post(client, move="set", concurrency="5").status_code == 200
        assert len(ready()) == 5
        rule = LimitRule.objects.get(pk="two")
        assert (rule.set_concurrency, rule.set_by) == (5, "grace")
        response = self.post(client, move="reset")
        assert len(ready()) == 2

        assert "As declared again: limit:two" in response.text
        messages = [entry.change_message for entry in LogEntry.objects.order_by("pk")]
        assert messages == [
            "Set limit:two: concurrency=5",
            "As declared again: limit:two",
        ]
        assert {entry.object_id for entry in LogEntry.objects.all()} == {"two"}

    def test_a_lane_is_set_apart(self):
        for _ in range(3):
            enqueue(limited.one, "ada")
            enqueue(limited.one, "bob")
        ready()
        client = client_of(*SEE, "change_limitrule")

        self.post(client, "one", move="set", lane="ada", concurrency="2")

        ready()
        response = page(client, "one")
        assert lane(response, "ada").held == 2
        assert lane(response, "bob").held == 1
        assert "set for it" in response.text
        self.post(client, "one", move="reset", lane="ada")
        assert lane(page(client, "one"), "ada").held == 1

    @pytest.mark.parametrize("with_lane", [{}, {"lane": "ada"}])
    def test_limits_and_lanes_are_paused_and_resumed(self, with_lane):
        enqueue(limited.one, "ada")
        client = client_of(*SEE, "pause_queue")

        self.post(client, "one", move="pause", reason="why not", **with_lane)

        pause = Pause.objects.get()
        assert pause.key == ("lane:one:ada" if with_lane else "limit:one")
        assert (pause.paused_by, pause.reason) == ("grace", "why not")
        assert ready() == set()
        text = client.get(address("limit", "one"), with_lane).text
        assert 'value="resume"' in text
        self.post(client, "one", move="resume", **with_lane)
        assert len(ready()) == 1
        assert LogEntry.objects.count() == 2

    @pytest.mark.parametrize(
        "given",
        [
            {"concurrency": "many"},
            {"concurrency": "0"},
            {"concurrency": "-3"},
            {"concurrency": "1" * 30},
            {"rate": "5"},
            {},
            {"lane": "ada", "weight": "2"},
        ],
    )
    def test_what_a_limit_cannot_have_is_told_and_changes_nothing(self, given):
        enqueue(limited.two)
        client = client_of(*SEE, "change_limitrule")

        response = self.post(client, move="set", **given)

        assert response.status_code == 200
        assert 'role="alert"' in response.text
        assert LimitRule.objects.get(pk="two").set_by == ""
        assert not LogEntry.objects.exists()

    @pytest.mark.parametrize("move", ["set", "reset", "pause", "resume", "", "delete"])
    def test_without_the_permission_nothing_is_done(self, move):
        enqueue(limited.two)
        client = client_of(*SEE)

        response = client.post(
            address("limit", "two"), {"move": move, "concurrency": 9}
        )

        assert response.status_code == 403
        assert not Pause.objects.exists()
        assert LimitRule.objects.get(pk="two").set_concurrency is None
        assert not LogEntry.objects.exists()
        text = client.get(address("limit", "two")).text
        assert not re.search(
            r'<form method="post"(?! id="logout-form")[^>]*class="dbq', text
        )

    def test_the_pages_need_their_permission(self):
        enqueue(limited.two)
        client = client_of(*VIEW)

        assert client.get(address("limits")).status_code == 403
        assert client.get(address("limit", "two")).status_code == 403
        assert address("limits") not in client.get(address("overview")).text
