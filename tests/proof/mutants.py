"""Faults of our own that no test may overlook: each must be killed by the one it names.

A mutant takes away, in a copy of the tree, what the test is there for. Its old text is
found exactly once in the file, or the mutant is out of date and says so.
"""

from typing import NamedTuple

POSTGRESQL, SQLITE = "postgresql", "sqlite"
BOTH = (SQLITE, POSTGRESQL)


class Change(NamedTuple):
    file: str  # below dbqueue/
    old: str
    new: str


class Mutant(NamedTuple):
    name: str  # what it does
    changes: tuple[Change, ...]
    test: str  # what kills it, below tests/
    databases: tuple[str, ...] = BOTH
    patience: float = 8.0  # seconds that the test waits for what does not come
    on_demand: bool = False  # whether a plain run leaves the test out


_PG = "dialects/postgresql/statements.py"
_SQLITE = "dialects/sqlite/statements.py"
_CLAIM = "dialects/test_claim.py::"
_MAINTENANCE = "maintenance/test_maintenance.py::"
_MOVES = "jobs/test_moves.py::"
_HOSTILE = "imaging/test_hostile.py::test_a_hostile_decoder_"
_HISTORY_STAYS = (
    Change(
        "dialects/postgresql/moves.py",
        "WHERE id = ANY(ARRAY(SELECT id FROM back))",
        "WHERE false",
    ),
    Change(
        "dialects/sqlite/moves.py",
        "            self._moved(ERASE, [job.id for job in back], {})\n",
        "",
    ),
)

MUTANTS = [
    Mutant(
        "a claim locks no rows",
        (
            Change(
                _PG,
                "        FOR UPDATE SKIP LOCKED\n    ) AS branch",
                "    ) AS branch",
            ),
        ),
        f"{_CLAIM}TestWorkersAtOnce::test_workers_at_once_pass_over_what_another_is"
        "_claiming",
        (POSTGRESQL,),
    ),
    Mutant(
        "a worker that was declared dead claims",
        tuple(
            Change(
                file,
                "\n  AND EXISTS (SELECT 1 FROM dbqueue_worker\n"
                "              WHERE id = %(worker)s AND ended_at IS NULL)",
                "",
            )
            for file in (_PG, _SQLITE)
        ),
        f"{_MAINTENANCE}TestAnExpiredWorker::test_an_expired_worker_cannot_claim",
    ),
    Mutant(
        "the fence lets any attempt through",
        (
            Change(_PG, "j.id = o.id AND j.attempt = o.attempt", "j.id = o.id"),
            Change(_SQLITE, "id = :id AND attempt = :attempt AND", "id = :id AND"),
        ),
        f"{_CLAIM}TestTheFence::test_the_fence_stops_an_earlier_attempt_of_the_same"
        "_worker",
    ),
    Mutant(
        "the fence lets any worker through",
        (
            Change(_PG, "THEN j.worker_id = %(worker)s END", "THEN true END"),
            Change(_SQLITE, " AND worker_id = :worker AND state", " AND state"),
        ),
        f"{_CLAIM}TestTheFence::test_the_fence_stops_another_worker",
    ),
    Mutant(
        "a lost claim is not told",
        (
            Change(
                "worker/loop/completer.py",
                'logger.warning("Claim lost id=%s: its outcome changed 0 rows", id)',
                "pass",
            ),
        ),
        "worker/test_claims_lost.py::test_the_outcome_of_a_lost_claim_changes_no_row"
        "_and_is_logged",
    ),
    Mutant(
        "heartbeats renew no lease",
        (
            Change(
                "maintenance/leases.py",
                "rows.update(last_seen=now, expires_at=now + timedelta(seconds=lease))",
                "rows.count()",
            ),
        ),
        "worker/test_death.py::test_a_keeper_that_is_killed_or_stopped_is_replaced",
    ),
    Mutant(
        "a keeper that lost its connection does no more",
        (
            Change(
                "worker/parent/keeper.py",
                "            drop(self._alias)\n            return self._pause * ",
                "            time.sleep(3600)\n            return self._pause * ",
            ),
        ),
        "faults/test_connections.py::test_work_goes_on_when_a_connection_is_terminated"
        "[heartbeat]",
        (POSTGRESQL,),
    ),
    Mutant(
        "a keeper that lost its ear polls for ever",
        (
            Change(
                "worker/parent/keeper.py",
                "        self._listener.open()\n",
                "        if not hasattr(self, 'opened'):\n"
                "            self._listener.open()\n"
                "            self.opened = True\n",
            ),
        ),
        "faults/test_connections.py::test_work_goes_on_when_a_connection_is_terminated"
        "[listen]",
        (POSTGRESQL,),
    ),
    Mutant(
        "a child trusts its lease for ever",
        (Change("worker/loop/worker.py", "TRUST = 0.8", "TRUST = 1000.0"),),
        "worker/test_silence.py::test_a_frozen_supervisor_gives_its_childrens_jobs_away",
        patience=30.0,
    ),
    Mutant(
        "a supervisor trusts the lease of its children for ever",
        (Change("worker/parent/stopping.py", "DISOWNED = 0.9", "DISOWNED = 1000.0"),),
        "worker/test_silence.py::test_a_worker_whose_connections_fell_silent_has_left"
        "_when_another_takes_its_job",
        (POSTGRESQL,),
        patience=30.0,
        on_demand=True,
    ),
    Mutant(
        "each claim begins among the dead rows",
        (
            Change(
                "dialects/scan.py",
                "return self._known(self._marks.values())",
                "return []",
            ),
        ),
        "dialects/test_claim_plans.py::test_dead_rows_that_vacuum_may_not_remove_are"
        "_passed_over_by_the_low_water_mark[50000]",
        (POSTGRESQL,),
    ),
    Mutant(
        "a promotion looks anew for each job",
        (
            Change(
                "dialects/postgresql/dialect.py",
                'self._promoted(self._rows(statements.PROMOTE, {"limit": limit}))',
                "self._promoted([row for _ in range(limit) for row in "
                'self._rows(statements.PROMOTE, {"limit": 1})])',
            ),
        ),
        "dialects/test_claim_plans.py::test_dead_rows_that_vacuum_may_not_remove_are"
        "_read_once_by_a_promotion[50000]",
        (POSTGRESQL,),
        on_demand=True,
    ),
    Mutant(
        "nobody takes over from the dead",
        (
            Change(
                "maintenance/rescue.py",
                "    jobs = orphans(alias)\n    crews",
                "    jobs = []\n    crews",
            ),
        ),
        "worker/test_death.py::test_a_frozen_child_loses_its_job_and_goes_when_it_thaws",
    ),
    Mutant(
        "a job that was lost with its child counts no failure",
        (
            Change(
                "worker/parent/reaper.py",
                '        return "lost"\n    return "released"',
                '        return "released"\n    return "released"',
            ),
        ),
        "worker/test_death.py::test_a_dead_childs_job_runs_again_at_once",
    ),
    Mutant(
        "what a lost answer has hidden stays so",
        (
            Change(
                "worker/loop/completer.py",
                "        self.flush()\n        alias, released",
                "        return self.flush()\n        alias, released",
            ),
        ),
        "worker/test_completer.py::TestReconciling::test_reconciling_gives_back_what_a_lost_answer_has"
        "_hidden",
    ),
    Mutant(
        "nobody is woken by whoever enqueues",
        (
            Change(
                "jobs/wakeup.py",
                "    if not dialect.can_notify or now",
                "    if True or now",
            ),
        ),
        "worker/test_outage.py::test_an_idle_worker_wakes_up[True]",
        (POSTGRESQL,),
    ),
    Mutant(
        "a commit to the file wakes no child",
        (
            Change(
                "worker/parent/keeper.py",
                "if ANYTHING in queues:",
                "if False:",
            ),
        ),
        "worker/test_outage.py::test_an_idle_worker_sees_that_its_file_was_written_to",
        (SQLITE,),
    ),
    Mutant(
        "what is not due is promoted",
        (
            Change(_PG, " AND run_after <= statement_timestamp()", ""),
            Change(_SQLITE, " AND run_after <= %(now)s", ""),
        ),
        f"{_MAINTENANCE}TestPromotion::test_promotion_leaves_jobs_that_are_not_due",
    ),
    Mutant(
        "the keeper promotes nothing",
        (
            Change(
                "worker/parent/keeper.py",
                "            queues = promote(alias)",
                "            queues = set()",
            ),
        ),
        "worker/test_order.py::test_a_delayed_job_runs_on_time",
    ),
    Mutant(
        "a claim forgets the priorities",
        (
            Change(
                "dialects/columns.py",
                'ORDER_BY = "priority DESC, enqueued_at, id"',
                'ORDER_BY = "enqueued_at, id"',
            ),
        ),
        "worker/test_order.py::test_hundreds_of_jobs_of_any_queue_and_priority_begin_in"
        "_their_order[a,b,c]",
    ),
    Mutant(
        "what a job left open in its session stays",
        (
            Change(
                "worker/process/connections.py",
                "is_foreign or not dialects.is_idle(connection) or _is_altered",
                "is_foreign and _is_altered",
            ),
        ),
        "worker/test_isolation.py::test_the_next_job_in_the_thread_is_clean[begin]",
    ),
    Mutant(
        "a child that stands still is left alone",
        (
            Change(
                "worker/parent/stopping.py",
                "elif child.turn_by and now >",
                "elif False and now >",
            ),
        ),
        "worker/test_timeouts.py::test_a_job_that_holds_the_gil_for_ever_does_not_keep"
        "_those_beside_it_from_ending",
        patience=20.0,
    ),
    Mutant(
        "what a job enqueues is committed although it fails",
        (
            Change(
                "worker/run/attempt.py",
                "make = self._atomically if self._task.atomic else self._make",
                "make = self._make",
            ),
        ),
        "worker/test_transactions.py::test_what_a_job_enqueues_in_its_transaction_shares"
        "_its_fate[raises]",
    ),
    Mutant(
        "a decoder may have sockets",
        (
            Change(
                "imaging/child/seccomp.py", "socket 41 198   socketpair", "socketpair"
            ),
        ),
        f"{_HOSTILE}reaches_nothing_and_nobody",
        (SQLITE,),
    ),
    Mutant(
        "a decoder may open any file",
        (
            Change(
                "imaging/child/confinement.py",
                '        ("Landlock", _see_only_this_folder),',
                '        ("Landlock", lambda: None),',
            ),
        ),
        f"{_HOSTILE}reaches_nothing_and_nobody",
        (SQLITE,),
    ),
    Mutant(
        "a decoder outlives the zygote",
        (Change("imaging/child/child.py", "    die_with(parent)\n", ""),),
        f"{_HOSTILE}does_not_outlive_the_zygote",
        (SQLITE,),
    ),
    Mutant(
        "a decoder that hangs up is taken for dead",
        (
            Change(
                "imaging/conversation.py",
                "        self._silent = not data",
                "        self._silent = self._over = not data",
            ),
        ),
        f"{_HOSTILE}cannot_change_the_file_after_the_check",
        (SQLITE,),
    ),
    Mutant(
        "an upload overwrites what has changed meanwhile",
        (
            Change(
                "uploads/targets.py",
                "bool(self._row_holding(expected).update(**values))",
                "bool(self._row().update(**values))",
            ),
        ),
        "uploads/test_uploads.py::TestTwoAtOnce::test_a_change_of_the_field_in_the_meantime_wins"
        "_over_an_upload",
    ),
    Mutant(
        "an upload that was discarded is saved",
        (
            Change(
                "uploads/processing/promotion.py",
                "    if state != UploadState.STORED:",
                "    if False:",
            ),
        ),
        "uploads/test_races.py::test_an_upload_that_is_discarded_as_it_ends_is_one_of"
        "_both",
    ),
    Mutant(
        "a retried job stays in the history",
        _HISTORY_STAYS,
        f"{_MOVES}TestRetry::test_the_job_runs_again_under_its_id_with_no_failures",
    ),
    Mutant(
        "what one operator has retried is there for the next",
        _HISTORY_STAYS,
        "jobs/test_operators.py::test_jobs_that_three_retry_at_once_run_once_more_each",
    ),
    Mutant(
        "a retry locks none of what it brings back",
        (
            Change(
                "dialects/postgresql/moves.py",
                '    states="", locked=""\n)',
                '    states="", locked=""\n).replace("FOR UPDATE", "")',
            ),
        ),
        f"{_MOVES}TestAtTheSameTime::test_a_retry_that_was_held_up_does_not_retry_what"
        "_has_run_again_meanwhile",
        (POSTGRESQL,),
    ),
    Mutant(
        "a retry is two commits",
        (
            Change(
                "dialects/sqlite/moves.py",
                '        with self.one_commit():\n            now = {"now"',
                '        if True:\n            now = {"now"',
            ),
        ),
        "model/test_crash_points.py::test_a_death_after_any_statement_loses_nothing"
        "[Retry]",
        (SQLITE,),
    ),
    Mutant(
        "a cancel ends a job under the worker that runs it",
        (
            Change(
                "dialects/moves.py",
                'WAITING = ("SCHEDULED", "BLOCKED", "PAUSED", "READY")',
                'WAITING = ("SCHEDULED", "BLOCKED", "PAUSED", "READY", "RUNNING")',
            ),
        ),
        f"{_MOVES}TestWhatMovesApplyTo::test_a_move_is_made_of_jobs_in_its_states_and"
        "_skips_the_others[cancel-RUNNING]",
    ),
    Mutant(
        "a connection that fell silent is waited for",
        (Change("worker/process/watchdog.py", "PATIENCE = 8.0", "PATIENCE = 8000.0"),),
        "worker/test_silence.py::test_a_worker_whose_connections_fell_silent_makes_new"
        "_ones",
        (POSTGRESQL,),
        patience=30.0,
    ),
    Mutant(
        "a package is deleted by whoever had it once",
        (
            Change(
                "compat/django_q2/store.py",
                "return self.packages.filter(pk=id, attempt=attempt)",
                "return self.packages.filter(pk=id)",
            ),
        ),
        "compat/test_django_q2.py::test_a_late_acknowledgement_deletes_nothing",
    ),
    Mutant(
        "any message of a job starts it",
        (
            Change(
                "relay/execution.py",
                "filter(pk=id, token=UUID(message.token))",
                "filter(pk=id)",
            ),
        ),
        "relay/test_relay.py::test_a_message_that_is_lost_is_published_again_and_counts"
        "_no_attempt",
    ),
    Mutant(
        "workers claim what is for an engine",
        (Change("relay/claiming.py", "if not queues or", "if queues or"),),
        "relay/test_relay.py::test_a_job_of_an_engine_is_run_by_its_message_and_by_no"
        "_worker",
    ),
    Mutant(
        "what the engine may not have is over",
        (
            Change(
                "relay/publishing.py",
                "if error is None:",
                "if True:",
            ),
        ),
        "relay/test_handoff.py::test_only_what_is_confirmed_ends",
    ),
    Mutant(
        "a quiet relay publishes",
        (
            Change(
                "relay/dispatching.py",
                "if not publishing or self._is_paused()",
                "if self._is_paused()",
            ),
        ),
        "relay/test_orders.py::test_a_quiet_relay_publishes_nothing_until_it_resumes",
    ),
    Mutant(
        "a reply to an older message ends the job",
        (
            Change(
                "relay/tracks/result.py",
                "rows = self.rows.filter(token__in=list(first))",
                "rows = self.rows.filter(pk__in=[r.job_id for r in found])",
            ),
            Change(
                "relay/tracks/result.py",
                "started.setdefault(first[token], [])",
                "started.setdefault(found[0].worker_id, [])",
            ),
        ),
        "relay/test_result.py::test_an_older_message_ends_nothing",
    ),
    Mutant(
        "replies are gone before they are written",
        (
            Change(
                "relay/tracks/result.py",
                "            if not self.dialect.refuses(error):\n"
                "                raise\n",
                "            if not self.dialect.refuses(error):\n"
                "                return\n",
            ),
        ),
        "relay/test_result.py::test_replies_come_again_after_a_relay_died_between"
        "_reading_and_writing",
    ),
]
