"""The settings of Celery's: what is read, what has no effect, and their older names."""

from difflib import get_close_matches

from dbqueue.conf import nearest

# What counts here.
READ = frozenset(
    {
        *("beat_schedule", "enable_utc", "imports", "include", "timezone"),
        *("task_always_eager", "task_annotations", "task_default_priority"),
        *("task_default_queue", "task_default_rate_limit", "task_eager_propagates"),
        *("task_ignore_result", "task_routes", "task_soft_time_limit"),
        "task_time_limit",
    }
)
# What is refused, for some of its values; see problems().
CHECKED = frozenset(
    {"accept_content", "result_serializer", "task_serializer", "worker_pool"}
)
# Of those that begin so, others count for nothing, and none is looked at closely.
_PARTS = (
    *("arangodb_", "azureblockblob_", "beat_", "broker_", "cache_", "cassandra_"),
    *("control_", "cosmosdbsql_", "couchbase_", "couchdb_", "database_", "dynamodb_"),
    *("elasticsearch_", "event_", "filesystem_", "gcs_", "mongodb_", "redis_"),
    *("result_", "riak_", "s3_", "security_", "worker_"),
)
# Of those, whose names are near to others.
_ALIKE = frozenset({"beat_schedule_filename", "beat_scheduler"})
_WITHOUT_EFFECT = frozenset(
    {
        *("override_backends", "set_as_current", "task_acks_late", "task_cls"),
        *("task_acks_on_failure_or_timeout", "task_compression", "task_protocol"),
        *("task_create_missing_queues", "task_default_delivery_mode", "task_queues"),
        *("task_default_exchange", "task_default_exchange_type", "task_publish_retry"),
        *("task_default_routing_key", "task_default_queue_type", "task_track_started"),
        *("task_inherit_parent_priority", "task_publish_retry_policy"),
        *("task_queue_ha_policy", "task_queue_max_priority", "task_remote_tracebacks"),
        *("task_reject_on_worker_lost", "task_send_sent_event"),
        *("task_store_eager_result", "task_store_errors_even_if_ignored"),
        "task_allow_error_cb_on_chord_header",
    }
)
# Names from before Celery 4, without their CELERY_.
_OLDER = {
    "acks_late": "task_acks_late",
    "always_eager": "task_always_eager",
    "annotations": "task_annotations",
    "create_missing_queues": "task_create_missing_queues",
    "default_queue": "task_default_queue",
    "default_rate_limit": "task_default_rate_limit",
    "eager_propagates": "task_eager_propagates",
    "eager_propagates_exceptions": "task_eager_propagates",
    "ignore_result": "task_ignore_result",
    "message_compression": "task_compression",
    "queues": "task_queues",
    "routes": "task_routes",
    "send_task_sent_event": "task_send_sent_event",
    "store_errors_even_if_ignored": "task_store_errors_even_if_ignored",
    "track_started": "task_track_started",
}
# Why a setting counts for nothing: by its name, or by what it begins with.
_NO_BROKER = "There is no broker."
_ACKNOWLEDGED = "A job is acknowledged at its end."
_QUEUES = "Queues are those of TASKS; a worker takes those of --queues."
_WHY = {
    "accept_content": "Arguments and results are JSON.",
    "override_backends": "There is no result backend.",
    "result_serializer": "Arguments and results are JSON.",
    "set_as_current": "There is one app.",
    "task_acks": _ACKNOWLEDGED,
    "task_allow_error_cb": "Workflows come later.",
    "task_cls": "Name it as Celery(task_cls=…).",
    "task_compression": _NO_BROKER,
    "task_create_missing_queues": _QUEUES,
    "task_default_delivery_mode": "A job is always on disk.",
    "task_default": _NO_BROKER,
    "task_inherit_parent_priority": "Say the priority of each task.",
    "task_protocol": _NO_BROKER,
    "task_publish": "A call writes a row, or raises.",
    "task_queue": _QUEUES,
    "task_reject_on_worker_lost": "A task whose worker dies is run again in any case.",
    "task_remote_tracebacks": "Tracebacks are kept as text.",
    "task_send_sent_event": "Connect to dbqueue.signals.",
    "task_serializer": "Arguments and results are JSON.",
    "task_store": "Errors are kept in any case; an EagerResult has its result.",
    "task_track_started": "A task that runs is always STARTED.",
    "beat_": "Any worker fires schedules; there is no beat.",
    "broker_": _NO_BROKER,
    "control_": "Workers are asked through the database.",
    "event_": "Connect to dbqueue.signals.",
    "result_": "Results are the history: see KEEP_SUCCESSFUL in DBQUEUE.",
    "security_": "Jobs are rows of your own database, and are not signed.",
    "worker_": "Give runworker its options, or set them in DBQUEUE.",
    "": "There is no result backend.",
}
_NO_PICKLE = (
    "dbqueue.compat.celery writes arguments as JSON, and never as pickle: a row of the "
    "database could run code. Pass numbers, text, dates, UUIDs, bytes, model instances"
)
_NO_POOL = (
    "dbqueue has processes and threads, and no {0}. Leave the setting out, and start "
    "manage.py runworker --processes N --threads M"
)


def named(name: str, namespace: str) -> str | None:
    """Return the setting of Celery's that a name in a settings file is; None = none."""
    if namespace:
        begins = name.startswith(f"{namespace}_")
        return name[len(namespace) + 1 :].lower() if begins else None
    low = name.lower()
    for beginning, others in (("celerybeat_", "beat_"), ("celeryd_", "worker_")):
        if low.startswith(beginning):
            rest = low.removeprefix(beginning)
            if rest in ("task_time_limit", "task_soft_time_limit"):
                return rest
            return others + rest
    if low.startswith("celery_"):
        rest = low.removeprefix("celery_")
        rest = _OLDER.get(rest, rest)
        return rest if is_known(rest) else None
    # In Django's settings anything stands; in a module of Celery's, small letters.
    return (
        low if is_known(low) and (name.islower() or low.startswith("broker_")) else None
    )


def is_known(name: str) -> bool:
    return name in READ | CHECKED | _WITHOUT_EFFECT or name.startswith(_PARTS)


def counts(name: str) -> bool:
    """Tell whether the setting has an effect here."""
    return name in READ


def why_idle(name: str) -> str:
    """Return why a setting that is known has no effect here."""
    return next(words for part, words in _WHY.items() if name.startswith(part))


def unknown(name: str) -> str:
    """Return what is to be said of a setting that there is not; "" if there is."""
    if is_known(name):
        return ""
    return f"There is no setting {name!r}.{nearest(name, READ | _WITHOUT_EFFECT)}"


def misspelt(name: str) -> str:
    """Return what is to be said of a setting that is almost one; "" of any other."""
    near = get_close_matches(name, READ | _WITHOUT_EFFECT, n=1, cutoff=0.85)
    is_sure = not name.startswith(_PARTS) or name in _ALIKE
    if (is_known(name) and is_sure) or not near or near == [name]:
        return ""
    return f"There is no setting {name!r}. Did you mean {near[0]!r}?"


def problem(name: str, value: object) -> str:
    """Return what is wrong with the value of a setting; "" if nothing is."""
    if name in ("task_serializer", "result_serializer") and value != "json":
        return f"{name}={value!r}: {_NO_PICKLE}." if value else ""
    if name == "worker_pool":
        kinds = [kind for kind in ("gevent", "eventlet") if kind in str(value)]
        return f"{name}={value!r}: {_NO_POOL.format(kinds[0])}." if kinds else ""
    return ""
