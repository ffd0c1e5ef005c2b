"""What of Celery is supported, and the tests that show it."""

from tests.compat.status import row

ROWS = [
    row(
        "`shared_task`, `Celery(…).task`",
        "yes",
        "Also without parentheses. `async def` is refused: use `@dbqueue.task`.",
        "TestATask.test_it_is_called_directly",
        "TestWhatThereIsNot.test_a_bound_task_takes_self",
    ),
    row(
        "`bind`, `name`, `base`, `queue`, `priority`, `expires`",
        "yes",
        "`priority`: -100 to 100, higher first.",
        "TestATask.test_options_of_a_call",
        "TestATask.test_a_name_of_its_own_and_send_task",
    ),
    row(
        "`max_retries`, `default_retry_delay`, `autoretry_for`, `dont_autoretry_for`, "
        "`retry_kwargs`, `retry_backoff`, `retry_backoff_max`, `retry_jitter`",
        "yes",
        "With Celery's defaults: 3 retries, 180 seconds, full jitter.",
        "TestARetry.test_autoretry_is_for_some_exceptions",
        "TestARetry.test_backoff_has_full_jitter_up_to_its_limit",
    ),
    row(
        "`ignore_result`, of a task, of a call, `CELERY_TASK_IGNORE_RESULT`",
        "differs",
        "The state is kept, what the task returns is not.",
        "TestTheRequest.test_ignores_the_result_of_one_call",
    ),
    row(
        "`throws`, `track_started`",
        "ignored",
        "A task that runs is always `STARTED`.",
        "TestWhatThereIsNot.test_what_has_no_effect_is_accepted",
    ),
    row(
        "`typing`",
        "yes",
        "Arguments that do not fit are refused by `delay()`.",
        "TestATask.test_arguments_that_do_not_fit_are_refused_at_once",
    ),
    row(
        "`time_limit`, `soft_time_limit`",
        "differs",
        "The lower one counts. Code sees `SoftTimeLimitExceeded`; if it has not "
        "stopped a second later, its process is replaced.",
        "test_time_limits_are_the_timeout_of_the_job",
    ),
    row(
        "`rate_limit`, `control.rate_limit()`",
        "differs",
        "It is one over all workers, not one in each. A [limit](limit.md).",
        "test_a_rate_limit_is_one_over_all_workers",
        "TestControl.test_a_rate_is_changed_while_tasks_run",
    ),
    row(
        "`acks_late`, `acks_on_failure_or_timeout`, `reject_on_worker_lost`, "
        "`compression`, `send_events`, `delivery_mode`, `exchange`, `routing_key`, "
        "`retry`, `retry_policy`, `shadow` and the like",
        "ignored",
        "A line in the log says so once. A job is always acknowledged at its end.",
        "TestWhatThereIsNot.test_what_has_no_effect_is_accepted",
    ),
    row(
        "`serializer`",
        "refused",
        'All but `"json"`. [What arrives](#what-arrives) keeps its type.',
        "TestWhatThereIsNot.test_what_cannot_be_is_refused",
        "TestJson.test_a_value_arrives_as_it_left_and_so_does_the_result",
    ),
    row(
        "a misspelt option",
        "refused",
        "A `TypeError` names the nearest one. Celery takes it and does nothing.",
        "TestWhatThereIsNot.test_a_misspelt_option_is_named_with_the_nearest",
    ),
    row(
        "`delay`, `apply_async`, a direct call, `run`, `apply`, `delay_on_commit`",
        "yes",
        "In the open transaction, with an id at once.",
        "TestATask.test_delay_enqueues_it_and_an_id_is_enough",
        "TestATask.test_delay_is_rolled_back_with_its_transaction",
    ),
    row(
        "`apply_async(args, kwargs, countdown, eta, expires, queue, priority)`",
        "yes",
        "",
        "TestATask.test_options_of_a_call",
    ),
    row(
        "`apply_async(task_id)`",
        "differs",
        "Any text. A second call with an id enqueues nothing.",
        "TestTheRequest.test_has_an_id_of_any_text",
    ),
    row(
        "`apply_async(headers)`",
        "yes",
        "In `self.request.headers`, and `self.request.get(name)`.",
        "TestTheRequest.test_has_headers_and_who_called",
    ),
    row(
        "`apply_async(link)`",
        "differs",
        "The next task is enqueued by the commit that ends this one, once.",
        "TestALink.test_is_called_with_what_the_task_returned",
        "TestALink.test_is_enqueued_by_the_commit_that_ends_the_task",
    ),
    row(
        "`apply_async(link_error)`",
        "yes",
        "A task of one argument gets the id; one of several is called in the worker "
        "with the request, the exception and the traceback.",
        "TestALinkForErrors.test_of_one_argument_is_enqueued_with_the_id",
        "TestALinkForErrors.test_of_three_arguments_is_called_with_the_exception",
    ),
    row(
        "`apply_async(time_limit, soft_time_limit)`",
        "refused",
        "Say it where the task is declared.",
        "TestWhatThereIsNot.test_what_only_a_declaration_may_say_is_refused",
    ),
    row(
        "`send_task`, `app.tasks`, `app.register_task`",
        "differs",
        "The task must be importable where it is sent: `NotRegistered` names the "
        "nearest.",
        "TestATask.test_a_name_of_its_own_and_send_task",
        "TestAClass.test_with_a_run_of_its_own_is_registered",
        "test_a_name_that_there_is_not_is_told_with_the_nearest",
    ),
    row(
        "`self.request`, `current_task`",
        "differs",
        "`id`, `args`, `kwargs`, `retries`, `headers`, `root_id`, `parent_id`, `eta`, "
        "`called_directly`, `is_eager`, `delivery_info`, `hostname` (the id of the "
        "worker); and `context`, the [JobContext](../reference/api.md#jobcontext).",
        "TestTheRequest.test_has_headers_and_who_called",
        "TestTheRequest.test_knows_the_task_that_enqueued_it",
    ),
    row(
        "`self.retry(args, kwargs, exc, throw, eta, countdown, max_retries)`",
        "yes",
        "Under the same id. With `throw=False` the task runs again once it has "
        "returned.",
        "TestARetry.test_it_runs_again_under_its_id_and_counts",
        "TestARetry.test_it_goes_on_with_other_arguments",
        "TestARetry.test_without_throw_the_task_goes_on_and_is_run_again_then",
        "TestARetry.test_at_the_limit_the_cause_is_raised",
    ),
    row(
        "`self.retry(queue, priority, …)`",
        "refused",
        "A retry stays where it is.",
        "TestARetry.test_options_that_a_retry_cannot_have_are_refused",
    ),
    row(
        "`before_start`, `on_success`, `on_failure`, `on_retry`, `after_return`, and "
        "`__init__`, `__call__`, `apply_async` of a `base=` class",
        "yes",
        "",
        "test_hooks_of_a_base_class_are_called_in_order",
        "TestAClass.test_with_init_call_and_apply_async_of_its_own",
    ),
    row(
        "`self.update_state`",
        "differs",
        "Of the task itself. Stored within half a second. `current`, `total` and "
        "`status` of the meta are the progress, which pages show.",
        "TestAState.test_of_ones_own_and_its_meta_are_shown",
        "TestAState.test_of_another_task_is_refused",
    ),
    row(
        "`Ignore`, `Reject`",
        "differs",
        "The task is `REVOKED`, or what `update_state()` has said before. "
        "`Reject(requeue=True)` is refused.",
        "TestAState.test_ignore_and_reject_end_a_task",
        "TestAState.test_that_is_said_before_ignore_is_that_of_the_end",
    ),
    row(
        "`AsyncResult(id)`: `state`, `status`, `result`, `info`, `traceback`, "
        "`date_done`, `ready`, `successful`, `failed`, `get`, `wait`, `forget`, "
        "`revoke`, `name`, `args`, `kwargs`, `retries`, `queue`, `worker`",
        "yes",
        "An unknown id is `PENDING`, and `get()` does not wait for it. It raises "
        "inside a task, unless it is "
        "allowed, and inside a transaction.",
        "TestAState.test_of_an_unknown_id_it_is_pending",
        "TestAState.test_a_result_is_forgotten",
        "TestAState.test_of_a_running_task_it_is_started_and_then_its_progress",
    ),
    row(
        "`revoke(terminate, signal)`",
        "differs",
        "A task that runs is asked to stop, and made to, with or without `terminate`.",
        "TestAState.test_of_a_revoked_task_it_is_revoked",
        "TestControl.test_tasks_are_revoked_by_their_ids",
    ),
    row(
        "`EagerResult`, `CELERY_TASK_ALWAYS_EAGER`, `CELERY_TASK_EAGER_PROPAGATES`",
        "yes",
        "Nested tasks run at once, too. `override_settings` and `app.conf` set them.",
        "TestEager.test_tasks_run_at_once_nested_ones_too",
        "TestEager.test_what_they_raise_is_kept_or_raised",
        "TestAState.test_an_eager_result_has_all_that_another_has",
    ),
    row(
        '`@patch("app.tasks.x.delay")`',
        "yes",
        "",
        "TestATask.test_it_can_be_replaced_in_a_test",
    ),
    row(
        "`crontab`, `schedule`, `beat_schedule`",
        "differs",
        "The day of the month and the weekday both count, as in Celery. There is no "
        "beat: workers fire, once. Intervals are counted from midnight UTC, and last a "
        "second at least. Of the options, `queue`, `priority` and `expires` count.",
        "TestACrontab.test_is_a_line",
        "TestACrontab.test_wants_the_day_and_the_weekday",
        "TestPeriodicTasks.test_those_of_the_settings_are_schedules",
    ),
    row(
        "`add_periodic_task`, `on_after_configure`, `on_after_finalize`",
        "yes",
        "Sent when a worker has imported the tasks.",
        "TestPeriodicTasks.test_those_of_the_app_are_added_once_it_is_configured",
    ),
    row(
        "`solar`",
        "refused",
        "",
        "TestACrontab.test_of_the_sun_is_refused_in_words",
    ),
    row(
        "`task_prerun`, `task_postrun`, `task_success`, `task_failure`, `task_retry`, "
        "`task_revoked`",
        "yes",
        "",
        "TestSignals.test_of_a_run_come_in_celerys_order",
        "TestSignals.test_say_what_celerys_say",
        "TestSignals.test_a_revoked_task_is_told",
    ),
    row(
        "`before_task_publish`, `after_task_publish`",
        "yes",
        "What a receiver adds to the headers goes along.",
        "TestSignals.test_of_a_publisher_may_add_headers",
    ),
    row(
        "`worker_init`, `worker_ready`, `worker_process_init`, `worker_shutdown`, "
        "`worker_shutting_down`, `worker_process_shutdown`, `setup_logging`",
        "differs",
        "Each is sent in every process that runs tasks.",
        "TestSignals.test_a_worker_says_that_it_is_ready_and_stops",
    ),
    row(
        "`heartbeat_sent`, `task_received`, `beat_init` and others",
        "ignored",
        "They are never sent; connecting logs it.",
        "TestSignals.test_one_that_is_never_sent_says_so",
    ),
    row(
        "`control.inspect()`: `ping`, `active`, `scheduled`, `reserved`, `registered`, "
        "`stats`, `active_queues`, `revoked`, `query_task`",
        "differs",
        "Asked of the database. What waits is of no worker: the first by name has it.",
        "TestControl.test_a_worker_answers",
        "TestControl.test_what_runs_and_waits_is_told",
        "TestControl.test_nobody_answers_where_nobody_lives",
    ),
    row(
        "`control.ping`, `revoke`, `terminate`, `purge`, `shutdown`",
        "yes",
        "`purge` cancels what waits.",
        "TestControl.test_what_waits_is_purged",
        "TestControl.test_tasks_are_revoked_by_their_ids",
    ),
    row(
        "`control.broadcast`, `add_consumer`, `cancel_consumer`, `pool_grow`, "
        "bootsteps, `app.connection()`, `app.steps`",
        "refused",
        "Each says what to do.",
        "TestControl.test_what_there_is_not_is_refused_in_words",
    ),
    row(
        "`CELERY_TASK_ROUTES`, `CELERY_TASK_ANNOTATIONS`",
        "yes",
        "Of a route, the queue and the priority.",
        "test_routes_choose_the_queue_unless_the_call_does",
        "TestSettings.test_annotations_and_defaults_are_those_of_tasks",
    ),
    row(
        "`config_from_object`, `app.conf`, `autodiscover_tasks`, `imports`, `include`",
        "yes",
        "Workers import the modules `tasks` of all apps in any case.",
        "TestSettings.test_they_are_read_with_and_without_a_namespace",
        "TestSettings.test_modules_of_other_names_are_imported",
    ),
    row(
        "`CELERY_TASK_SERIALIZER='pickle'`, `CELERY_WORKER_POOL='gevent'`",
        "refused",
        "[dbqueue.E010](../reference/checks.md#dbqueue-e010).",
        "TestSettings.test_what_cannot_be_is_told_by_check",
    ),
    row(
        "`.s()`, `.si()`, `signature`",
        "yes",
        "With `link`, `link_error`, `clone`, `set`, `delay`, `apply_async`.",
        "TestALink.test_waits_and_keeps_types",
        "TestALink.test_may_be_of_a_signature_and_run_eagerly",
    ),
    row(
        "`chain`, `group`, `chord`, `|`, `chunks`, `map`, `starmap`, `replace`, "
        "`GroupResult`",
        "refused",
        "Enqueue the next task at the end of the one before, or by `link`.",
        "TestWhatThereIsNot.test_a_canvas_is_refused_in_words",
        "TestWhatThereIsNot.test_what_joins_signatures_is_refused_in_words",
    ),
    row(
        "`django_celery_beat`, `django_celery_results`",
        "differs",
        "`manage.py import_celery` takes over their rows.",
        "TestImport.test_periodic_tasks_become_schedules",
        "TestImport.test_results_become_the_history",
    ),
]
