"""A relay, clusters of django-q2 and a Redis, in processes of their own."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from django.test import override_settings

pytest.importorskip("django_q", reason="pip install django-q2")
pytest.importorskip("redis", reason="pip install redis")

from django_q.brokers.redis_broker import Redis
from django_q.conf import Conf
from django_q.models import Failure, Success
from django_q.signing import SignedPackage

from dbqueue import jobs
from dbqueue.models import Job, Worker
from dbqueue.relay.checks import check_engines
from dbqueue.relay.conformance import TransportConformance
from dbqueue.relay.django_q2 import DjangoQTransport
from tests.relay.conftest import Cluster, tasks
from tests.relay.test_celery import is_confirmed, send, send_many
from tests.support.processes import (
    MANAGE,
    SHORT,
    finished,
    on_demand,
    once,
    reasons,
    wait_until,
    wait_until_empty,
    wait_until_finished,
)
from tests.support.worker_tasks import awork, note, swallow, work, work_until
from tests.support.workers import together

pytest_plugins = ["tests.support.worker_fixtures"]

PATH = "dbqueue.relay.django_q2.DjangoQTransport"
OWN = ("BROKER_CLASS", "ORM", "SQS", "IRON_MQ", "MONGO")


def problem(**engine):
    """Return what the check says of the engine."""
    with override_settings(TASKS=tasks(transport=PATH, **engine)):
        return "".join(error.msg for error in check_engines())


@pytest.fixture
def on_redis(monkeypatch):
    """Have the settings of this process name no other broker."""
    for name in OWN:
        monkeypatch.setattr(Conf, name, None)


@pytest.fixture
def redis_broker(redis_server):
    redis_server.empty()
    return redis_server


@once
class TestDjangoQ2(TransportConformance):
    @pytest.fixture(autouse=True)
    def _with_redis(self, redis_broker, on_redis, monkeypatch):
        self.patch, self.port, self.made = monkeypatch, redis_broker.port, []
        yield
        for transport in self.made:
            transport.close()

    def make_transport(self, port=None):
        self.patch.setattr(Conf, "REDIS", address(port or self.port))
        self.made.append(DjangoQTransport("video", {}))
        return self.made[-1]

    def received(self, count):
        broker = Redis()
        wait_until(lambda: broker.queue_size() == count, f"{count} have come")
        found = broker.connection.lrange(broker.list_key, 0, -1)
        return [SignedPackage.loads(package.decode())["args"][0] for package in found]

    def make_unreachable(self):
        return self.make_transport(port=1)


def address(port):
    return {"host": "127.0.0.1", "port": port}


def test_a_cluster_on_another_broker_is_refused():
    assert "Q_CLUSTER['broker_class'] is 'dbqueue.compat" in problem()


@pytest.mark.usefixtures("on_redis")
def test_the_cluster_of_an_engine_has_a_name():
    assert problem(cluster="films") == ""
    assert "has the 'cluster' 1; it must be the name" in problem(cluster=1)
    assert "'handoff', which DjangoQTransport cannot do" in problem(track="handoff")


@pytest.mark.usefixtures("on_redis")
def test_django_q2_has_to_be_installed_in_the_project(settings):
    settings.INSTALLED_APPS = [a for a in settings.INSTALLED_APPS if a != "django_q"]

    assert "'django_q' is not in INSTALLED_APPS. Add it." in problem()


@once
@pytest.mark.parametrize("package", ["django_q", "redis"])
def test_without_its_packages_the_extra_is_named(package):
    code = f"""
import sys
sys.modules[{package!r}] = None
from dbqueue.exceptions import MissingExtra
from django.conf import settings
settings.configure()
try:
    import dbqueue.relay.django_q2
except MissingExtra as error:
    print(error)
"""

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "pip install 'dbqueue-django[django-q2]' redis" in said.stdout, said.stderr


class Clusters(Cluster):
    """A relay and clusters of django-q2, in processes of their own."""

    def __init__(self, start, broker, **engine):
        super().__init__(start, broker.url, **{"transport": PATH, **engine})
        del self.engine["app"]
        self._redis = {"redis": address(broker.port), "name": "films"}

    def relay(self, *arguments, **settings):
        return super().relay(*arguments, Q_CLUSTER=self._redis, **settings)

    def cluster(self, workers=2, timeout=60, **settings):
        own = {"workers": workers, "timeout": timeout, "retry": timeout + 10}
        command = [sys.executable, MANAGE, "qcluster"]
        return self._run(command, {"Q_CLUSTER": {**self._redis, **own}, **settings})


@pytest.fixture
def clusters(start, redis_broker):
    def make(**engine):
        return Clusters(start, redis_broker, **engine)

    return make


@on_demand
def test_clusters_of_django_q2_run_jobs_and_stop_those_that_are_cancelled(
    clusters, effects
):
    engine = clusters()
    each = send_many(20)
    long, along = send(work, "long", 600), send(awork, "along", 600)
    relay, cluster = engine.relay(), engine.cluster(workers=4)
    effects.wait_for("ended", times=20)
    for key in ("long", "along"):
        effects.wait_for("began", key)

    jobs.cancel(long)
    jobs.cancel(along)
    wait_until_empty(cluster)

    assert effects.counts("ended") == each
    assert finished(state="CANCELLED").count() == 2
    assert relay.stop() == 0
    assert cluster.stop() == 0
    assert not Worker.objects.exists()
    assert not Success.objects.exists()
    assert not Failure.objects.exists()


@on_demand
def test_a_job_may_run_for_longer_than_the_cluster_allows(clusters, effects):
    engine = clusters()
    result = send(work, "long", 4)
    engine.relay()

    wait_until_empty(engine.cluster(timeout=1))

    assert wait_until_finished(result).attempt == 1
    assert effects.counts("ended") == {"long": 1}


@on_demand
def test_a_job_that_does_not_stop_at_its_timeout_costs_its_process(clusters, effects):
    engine = clusters()
    result = send(swallow, "stubborn")
    engine.relay()
    cluster = engine.cluster(workers=1)

    wait_until_finished(result)
    send(note, "after")
    wait_until_empty(cluster)

    assert reasons(finished(pk=result.id).get()) == ["timeout"]
    assert effects.counts("ended")["after"] == 1


@on_demand
def test_a_package_that_comes_again_starts_nothing(clusters, redis_broker, effects):
    engine = clusters()
    each = send_many(20)
    engine.relay()
    wait_until(is_confirmed(20), "all are published")
    with redis_broker.client() as client:
        for package in client.lrange("django_q:films:q", 0, -1) * 2:
            client.rpush("django_q:films:q", package)

        cluster = engine.cluster(workers=4)
        wait_until_empty(cluster)
        wait_until(lambda: cluster.output.count("Processed '") == 60, "all came")

    assert effects.counts("ended") == each
    assert set(finished().values_list("attempt", flat=True)) == {1}


@on_demand
def test_jobs_outlive_the_deaths_of_a_relay_of_a_cluster_and_of_redis(
    clusters, redis_broker, effects, tmp_path
):
    engine = clusters(dispatch_ttl=3)
    gate = tmp_path / "gate"
    slow = send(work_until, "slow", str(gate))
    relay, cluster = engine.relay(**SHORT), engine.cluster(workers=1, **SHORT)
    effects.wait_for("began", "slow")
    each = send_many(20)
    wait_until(is_confirmed(20), "the others wait in Redis, and in the cluster")

    relay.kill_all()
    cluster.kill_all()
    redis_broker.crash()
    redis_broker.start()
    gate.touch()
    engine.relay(**SHORT)
    wait_until_empty(engine.cluster(**SHORT))

    assert effects.counts("ended") == {**each, "slow": 1}
    assert reasons(wait_until_finished(slow)) == ["lost"]


@on_demand
def test_a_redis_that_is_full_or_does_not_answer_is_waited_for(
    clusters, redis_broker, effects
):
    engine = clusters()
    relay = engine.relay()
    with redis_broker.full():
        send(note, "full")
        relay.wait_for_output(redis_broker.full_says)
    wait_until(is_confirmed(1), "it is published")
    with redis_broker.silent():
        send(note, "silent")
        relay.wait_for_output("Timeout")

    wait_until_empty(engine.cluster())

    assert effects.counts("ended") == {"full": 1, "silent": 1}


@on_demand
def test_a_cluster_that_was_frozen_past_its_lease_ends_nothing(
    clusters, effects, tmp_path
):
    engine = clusters(dispatch_ttl=3)
    gate = tmp_path / "gate"
    result = send(work_until, "slow", str(gate))
    engine.relay(**SHORT)
    frozen = engine.cluster(workers=1, **SHORT)
    effects.wait_for("began", "slow")
    frozen.tell_all(signal.SIGSTOP)
    other = engine.cluster(workers=1, **SHORT)
    effects.wait_for("began", "slow", times=2)

    frozen.tell_all(signal.SIGCONT)
    frozen.wait_for_output("The lease ran out")
    gate.touch()
    effects.wait_for("ended", "slow", times=2)
    wait_until_empty(other)

    ended = wait_until_finished(result)
    assert (ended.state, ended.attempt) == ("SUCCESSFUL", 2)
    frozen.wait_for_output("Claim lost")
    assert not Job.objects.exists()


@pytest.mark.usefixtures("on_redis")
def test_publishers_that_begin_at_once_share_one_connection(monkeypatch):
    asking, made = threading.Barrier(4), []

    class SlowRedis(Redis):
        def __init__(self, *arguments, **options):
            made.append(self)
            time.sleep(0.2)  # as one over a network takes
            super().__init__(*arguments, **options)

    monkeypatch.setattr("dbqueue.relay.django_q2.Redis", SlowRedis)
    monkeypatch.setattr(Conf, "REDIS", address(1))
    transport = DjangoQTransport("video", {})

    def publish():
        asking.wait()
        with suppress(Exception):  # no Redis is there
            transport.depth()

    together(*[publish] * 4)

    assert len(made) == 1
