"""The broker for clusters of django-q2: what it keeps, gives, and takes back."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import override_settings
from django.urls import reverse
from django.utils import timezone

pytest.importorskip("django_q", reason="pip install django-q2")

from django_q.conf import Conf
from django_q.status import Stat
from django_q.tasks import async_task

from dbqueue.compat.django_q2 import Broker, deliveries
from dbqueue.compat.django_q2.forgetting import forget
from dbqueue.compat.django_q2.models import ClusterStat, Package
from dbqueue.models import Job
from tests.support.workers import together

HOUR = 3600


@pytest.fixture
def broker(transactional_db, monkeypatch):
    monkeypatch.setattr(Conf, "POLL", 0.01)
    return Broker("letters")


def age(seconds):
    """Let the clock of all packages be so much later."""
    for row in Package.objects.exclude(due_at=None):
        Package.objects.filter(pk=row.pk).update(
            due_at=row.due_at - timedelta(seconds=seconds), enqueued_at=row.enqueued_at
        )


def time_ago(seconds):
    return timezone.now() - timedelta(seconds=seconds)


def test_packages_are_given_in_the_order_of_their_enqueue(broker, monkeypatch):
    monkeypatch.setattr(Conf, "BULK", 3)
    for n in range(5):
        broker.enqueue(f"package {n}")

    first, second = broker.dequeue(), broker.dequeue()

    assert [payload for _, payload in first] == ["package 0", "package 1", "package 2"]
    assert [payload for _, payload in second] == ["package 3", "package 4"]


def test_a_package_is_given_again_when_its_lease_is_over(broker):
    broker.enqueue("lost")
    broker.dequeue()

    before = broker.dequeue()
    age(Conf.RETRY + 1)

    assert before is None
    assert [payload for _, payload in broker.dequeue()] == ["lost"]


def test_a_late_acknowledgement_deletes_nothing(broker, caplog):
    broker.enqueue("slow")
    ((late, _),) = broker.dequeue()
    age(Conf.RETRY + 1)
    ((second, _),) = broker.dequeue()

    broker.acknowledge(late)
    left = Package.objects.count()
    broker.acknowledge(second)

    assert left == 1
    assert "too late" in caplog.text
    assert not Package.objects.exists()


def test_a_package_that_cannot_be_opened_is_kept_and_given_to_nobody(broker):
    broker.enqueue("of another key")
    ((id, _),) = broker.dequeue()

    broker.fail(id)
    age(HOUR)

    assert broker.dequeue() is None
    assert Package.objects.refused().count() == 1
    assert (broker.queue_size(), broker.lock_size()) == (0, 0)


def test_what_ends_each_cluster_is_refused_in_the_end(broker, monkeypatch, caplog):
    monkeypatch.setattr(Conf, "MAX_ATTEMPTS", 2)
    broker.enqueue("poison")
    for _ in range(2):
        assert broker.dequeue()
        age(Conf.RETRY + 1)

    assert broker.dequeue() is None
    assert Package.objects.refused().count() == 1
    assert "it was taken 2 times and never ended" in caplog.text


def test_a_rolled_back_task_is_never_given(broker):
    with transaction.atomic():
        async_task("tests.compat.q2_tasks.note", 1, broker=broker)
        transaction.set_rollback(True)

    assert broker.dequeue() is None
    assert not Package.objects.exists()


def test_two_clusters_never_have_the_same_package(broker, monkeypatch):
    monkeypatch.setattr(Conf, "BULK", 3)
    for n in range(60):
        broker.enqueue(str(n))

    def take():
        mine, own = [], Broker("letters")
        while packages := own.dequeue():
            mine += [payload for _, payload in packages]
        connection.close()
        return mine

    found = [payload for part in together(take, take, take) for payload in part]

    assert sorted(found, key=int) == [str(n) for n in range(60)]


def test_a_lease_is_counted_anew_when_a_worker_begins(broker, monkeypatch):
    broker.enqueue("waits in the cluster")
    ((id, _),) = broker.dequeue()
    age(Conf.RETRY - 1)
    one = deliveries.Delivery.read(id)
    early = str(deliveries.Delivery(one.id, one.attempt, one.taken_at - Conf.RETRY / 2))

    deliveries.renew(None, task={"ack_id": early})
    age(2)

    assert broker.dequeue() is None


def test_a_begin_is_no_statement_for_what_has_hardly_waited(
    broker, django_assert_num_queries
):
    broker.enqueue("fresh")
    ((id, _),) = broker.dequeue()

    with django_assert_num_queries(0):
        deliveries.renew(None, task={"ack_id": id})
        deliveries.renew(None, task={"ack_id": "a receipt of another broker"})
        deliveries.renew(None, task={})


def test_a_package_costs_one_statement_each_way(broker, django_assert_num_queries):
    with django_assert_num_queries(1):
        broker.enqueue("one")
    with django_assert_num_queries(1 if connection.vendor == "postgresql" else 4):
        ((id, _),) = broker.dequeue()
    with django_assert_num_queries(1):
        broker.acknowledge(id)


def test_workers_of_dbqueue_pass_over_packages(broker, worker):
    broker.enqueue("not theirs")

    assert worker.claim() == []
    assert not Job.objects.exists()


def test_statistics_reach_other_processes_without_a_cache(broker):
    broker.set_stat(f"{Conf.Q_STAT}:one", "says", 3)
    broker.set_stat(f"{Conf.Q_STAT}:one", "says more", 3)
    broker.set_stat(f"{Conf.Q_STAT}:two", "is over", -1)

    assert broker.get_stat(f"{Conf.Q_STAT}:one") == "says more"
    assert broker.get_stats(f"{Conf.Q_STAT}:*") == ["says more"]
    assert broker.get_stat(f"{Conf.Q_STAT}:two") is None
    assert Stat.get_all(broker) == []  # what is not signed says nothing


def test_a_cluster_without_the_tables_says_so(broker):
    with connection.schema_editor() as editor:
        editor.alter_db_table(Package, "dbqueue_package", "elsewhere")
    try:
        with pytest.raises(Exception, match=r"manage\.py migrate --database default"):
            broker.ping()
    finally:
        with connection.schema_editor() as editor:
            editor.alter_db_table(Package, "elsewhere", "dbqueue_package")


def test_an_idle_cluster_hears_of_a_package_long_before_it_would_look(
    broker, monkeypatch
):
    monkeypatch.setattr(Conf, "POLL", 600)

    def listen():
        own = Broker("letters")
        while not (found := own.dequeue()):
            pass
        own._ear.close() if own._ear else None
        connection.close()
        return found

    def send():
        time.sleep(0.2)
        Broker("letters").enqueue("news")
        connection.close()

    found, _ = together(listen, send)

    assert [payload for _, payload in found] == ["news"]


def test_what_was_refused_long_ago_is_forgotten(broker):
    for name in ("old", "new"):
        broker.enqueue(name)
        broker.fail(broker.dequeue()[0][0])
    Package.objects.filter(payload="old").update(enqueued_at=time_ago(HOUR))
    ClusterStat.objects.create(key="gone", value="", expires_at=time_ago(48 * HOUR))

    with override_settings(DBQUEUE={"KEEP_FAILED": HOUR / 2}):
        forget("default")

    assert [row.payload for row in Package.objects.all()] == ["new"]
    assert not ClusterStat.objects.exists()


@pytest.fixture
def boss(client, transactional_db):
    boss = User.objects.create_superuser("boss")
    client.force_login(boss)
    return boss


def test_the_admin_shows_who_has_what_and_opens_nothing(broker, boss, client):
    for text in ("waits", "is held", "is refused"):
        broker.enqueue(text)
    broker.dequeue()
    broker.fail(broker.dequeue()[0][0])

    page = client.get(reverse("admin:dbqueue_package_changelist")).content.decode()

    for word in ("Waiting", "Held", "Refused"):
        assert word in page
    assert "is held" not in page
    for name, count in (("waiting", 1), ("held", 1), ("refused", 1)):
        url = reverse("admin:dbqueue_package_changelist")
        shown = client.get(f"{url}?state={name}")
        assert shown.context["cl"].result_count == count
    one = Package.objects.latest("pk")
    url = reverse("admin:dbqueue_package_change", args=[one.pk])
    assert client.get(url).status_code == 200


def test_a_refused_package_can_be_given_again(broker, boss, client):
    broker.enqueue("was of another key")
    ((late, _),) = broker.dequeue()
    broker.fail(late)
    data = {"action": "again", "_selected_action": [Package.objects.get().pk]}

    client.post(reverse("admin:dbqueue_package_changelist"), data)
    broker.acknowledge(late)

    assert [payload for _, payload in broker.dequeue()] == ["was of another key"]
