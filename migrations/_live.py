"""Changes of tables that are in use: nobody who enqueues or works waits long for them.

Each may be done again, after a migration that was cut short.
"""

import time
from contextlib import contextmanager

from django.db import OperationalError, migrations, transaction

LOCK_NOT_AVAILABLE = "55P03"
# Whoever enqueues waits behind us for the lock, so we do not wait for it long.
LIMIT_LOCKS = "SET LOCAL lock_timeout = '1s'"
TRIES, PAUSE = 40, 2.0  # seconds between two of them
# A statement that is CONCURRENTLY waits for older transactions, but nobody for it.
NO_LIMITS = "SET lock_timeout = 0; SET statement_timeout = 0"
AS_BEFORE = "RESET lock_timeout; RESET statement_timeout"


class AddField(migrations.AddField):
    """Adds a column that may be null, trying again while its table is locked."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if not self._is_there(app_label, schema_editor, to_state):
            change = super().database_forwards
            _patiently(schema_editor, change, app_label, from_state, to_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        change = super().database_backwards
        _patiently(schema_editor, change, app_label, from_state, to_state)

    def _is_there(self, app_label, schema_editor, state):
        if schema_editor.collect_sql:
            return False
        model = state.apps.get_model(app_label, self.model_name)
        connection, table = schema_editor.connection, model._meta.db_table
        with connection.cursor() as cursor:
            found = connection.introspection.get_table_description(cursor, table)
        column = model._meta.get_field(self.name).column
        return column in {info.name for info in found}


class AddIndex(migrations.AddIndex):
    """Adds an index while its table is written to."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _remove(schema_editor, model, self.index)  # half of it may be there
            _add(schema_editor, model, self.index)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            _remove(schema_editor, model, self.index)


class RemoveIndex(migrations.RemoveIndex):
    """Removes an index while its table is written to."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        self._change(_remove, app_label, schema_editor, from_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        self._change(_remove, app_label, schema_editor, to_state)
        self._change(_add, app_label, schema_editor, to_state)

    def _change(self, change, app_label, schema_editor, state):
        model = state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            known = state.models[app_label, self.model_name_lower]
            change(schema_editor, model, known.get_index_by_name(self.name))


class AddUniqueIndex(migrations.AddConstraint):
    """Adds a unique constraint with a condition, while its table is written to."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        model = to_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            self._remove(schema_editor, model)  # half of it may be there
            with _concurrently(schema_editor) as options:
                sql = str(self.constraint.create_sql(model, schema_editor))
                if options:
                    sql = sql.replace(" INDEX ", " INDEX CONCURRENTLY ", 1)
                schema_editor.execute(sql)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            self._remove(schema_editor, model)

    def _remove(self, schema_editor, model):
        name = schema_editor.quote_name(self.constraint.name)
        with _concurrently(schema_editor) as options:
            how = "CONCURRENTLY " if options else ""
            schema_editor.execute(f"DROP INDEX {how}IF EXISTS {name}")


def _patiently(schema_editor, change, app_label, from_state, to_state):
    for left in reversed(range(TRIES)):
        try:
            with transaction.atomic(using=schema_editor.connection.alias):
                if schema_editor.connection.vendor == "postgresql":
                    schema_editor.execute(LIMIT_LOCKS)
                return change(app_label, schema_editor, from_state, to_state)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                raise
            if not left:
                error.add_note(
                    "A transaction that does not end holds the table: find it in "
                    "pg_stat_activity, end it, and run migrate again."
                )
                raise
            time.sleep(PAUSE)


def _add(schema_editor, model, index):
    with _concurrently(schema_editor) as options:
        schema_editor.add_index(model, index, **options)


def _remove(schema_editor, model, index):
    connection = schema_editor.connection
    if not schema_editor.collect_sql:
        with connection.cursor() as cursor:
            table = model._meta.db_table
            found = connection.introspection.get_constraints(cursor, table)
        if index.name not in found:
            return
    with _concurrently(schema_editor) as options:
        schema_editor.remove_index(model, index, **options)


@contextmanager
def _concurrently(schema_editor):
    connection = schema_editor.connection
    # PostgreSQL does it so in no transaction: whoever began one has the table alone.
    if connection.vendor != "postgresql" or connection.in_atomic_block:
        yield {}
        return
    schema_editor.execute(NO_LIMITS)
    try:
        yield {"concurrently": True}
    finally:
        schema_editor.execute(AS_BEFORE)
