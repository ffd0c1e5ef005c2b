"""What jobs and libraries do to their connections, and how to see what is left."""

from django.contrib.auth.models import Group
from django.db import DatabaseError, connection, connections, transaction
from django.db.models import Count

from dbqueue import enqueue, enqueue_many
from tests.tasks import noop

kept = []  # so that a cursor stays open


def execute(*arguments):
    def mess():
        with connection.cursor() as cursor:
            cursor.execute(*arguments)

    return mess


def raw():
    connection.ensure_connection()
    return connection.connection


def below(sql):
    """Send the statement past Django's cursor, to the one of the driver."""

    def mess():
        with connection.cursor() as cursor:
            cursor.cursor.execute(sql)

    return mess


def setting(thing, name, value):
    return lambda: setattr(thing(), name, value)


def current():
    return connections["default"]


def passes_on(execute, *more):
    return execute(*more)


def wrap_and_close():
    connection.execute_wrappers.append(passes_on)
    connection.close()


def swap():
    Group.objects.exists()
    connections["default"] = connections["other"]


def add_connection():
    added = current().copy(alias="added")
    added.ensure_connection()
    connections["added"] = added


def replace_below():
    current().connection = current().get_new_connection(
        current().get_connection_params()
    )


def break_and_swallow():
    current().needs_rollback = True


def compose():
    from psycopg import sql

    name = sql.Identifier("tenant")
    execute(sql.SQL("SET search_path TO {}").format(name))()


def hold_cursor():
    cursor = connection.chunked_cursor()
    cursor.execute("SELECT generate_series(1, 10)")
    cursor.fetchmany(1)
    kept.append(cursor)


def pipeline():
    with raw().pipeline():
        raw().execute("SET search_path TO tenant")


def new_cursor():
    import psycopg

    psycopg.Cursor(raw()).execute("SET search_path TO tenant")


def register_adapter():
    from psycopg.types.json import JsonDumper

    raw().adapters.register_dumper(dict, JsonDumper)


def isolate():
    from psycopg import IsolationLevel

    raw().isolation_level = IsolationLevel.SERIALIZABLE


ANYWHERE = {
    "transaction": lambda: transaction.set_autocommit(False),
    "atomic block": lambda: transaction.atomic().__enter__(),
    "needs_rollback": break_and_swallow,
    "execute wrapper": lambda: current().execute_wrappers.append(passes_on),
    "execute wrapper, closed": wrap_and_close,
    "debug cursor": setting(current, "force_debug_cursor", True),
    "attribute": setting(current, "tenant", "tenant"),
    "method": setting(current, "cursor", lambda: None),
    "settings": lambda: current().settings_dict.update(CONN_MAX_AGE=7),
    "options": lambda: current().settings_dict["OPTIONS"].update(more=1),
    "other settings": setting(current, "settings_dict", {"OPTIONS": {}}),
    "another's alias": swap,
    "another connection": add_connection,
    "another session": replace_below,
    "row factory": setting(raw, "row_factory", lambda *row: dict),
}
SET = "SET search_path TO tenant"
POSTGRESQL = {
    **{
        sql: execute(sql)
        for sql in (
            SET,
            f"/* app */ {SET}",
            f"-- app\n{SET}",
            f"SELECT 1; {SET}",
            f"SELECT 1; -- more\n {SET}",
            f"SELECT '--'; {SET}",
            "EXPLAIN ANALYZE SELECT set_config('dbqueue.mess', 'x', false)",
            "SELECT U&\"set\\005fconfig\"('dbqueue.mess', 'x', false)",
            "SET TIME ZONE 'Asia/Tokyo'",
            "SET dbqueue.mess = 'x'",
            "SET ROLE pg_monitor",
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
            "SELECT set_config('dbqueue.mess', 'x', false)",
            "(SELECT/**/SET_CONFIG('dbqueue.mess', 'x', false))",
            "SELECT set_config('dbqueue.mess', 'x', true), "
            "set_config('dbqueue.mess', 'x', false)",
            "DO $$ BEGIN PERFORM set_config('dbqueue.mess', 'x', false); END $$",
            "CREATE TEMP TABLE messy (id int)",
            "SELECT 1 AS id INTO TEMP messy",
            "SELECT pg_advisory_lock(42)",
            "SELECT pg_try_advisory_lock_shared(42)",
            "PREPARE messy AS SELECT 1",
            "LISTEN messy",
            "DECLARE messy CURSOR WITH HOLD FOR SELECT 1",
            "SELECT leave_a_mess()",
            "SELECT hide_a_mess()",
            "SELECT leave_a_stable_mess()",
            "SELECT leave_a_mess_in_sql()",
            "SELECT sum_a_mess(1)",
            "INSERT INTO stable_table DEFAULT VALUES",
            "INSERT INTO checked_table VALUES (1)",
            "CALL make_a_mess()",
            "INSERT INTO messy_table VALUES (1)",
            "SELECT * FROM messy_view",
        )
    },
    "set_config by parameters": execute(
        "SELECT set_config(%s, %s, %s)", ["dbqueue.mess", "x", False]
    ),
    "executemany": lambda: connection.cursor().executemany(
        "SELECT set_config('dbqueue.mess', %s, false)", [("x",), ("y",)]
    ),
    "psycopg.sql": compose,
    "server-side cursor": hold_cursor,
    "driver": lambda: raw().execute(SET),
    "driver, bytes": lambda: raw().execute(SET.encode()),
    "driver's cursor": below(SET),
    "driver's new cursor": new_cursor,
    "driver's pipeline": pipeline,
    "driver's isolation level": isolate,
    "driver's autocommit": setting(raw, "autocommit", False),
    "driver's adapters": register_adapter,
    "driver's threshold": setting(raw, "prepare_threshold", 1),
    "driver's handler": lambda: raw().add_notice_handler(print),
}
SQLITE = {
    **{
        f"{how.__name__} {sql}": how(sql)
        for sql in (
            "PRAGMA foreign_keys = OFF",
            "/* app */ PRAGMA foreign_keys(0)",
            "ATTACH ':memory:' AS messy",
            "CREATE TEMP TABLE messy (id int)",
            "CREATE TABLE temp.messy (id int)",
            "CREATE TEMP VIEW messy AS SELECT 1",
        )
        for how in (execute, below)
    },
    "script": lambda: connection.cursor().executescript(
        "SELECT 1; PRAGMA foreign_keys = OFF"
    ),
    "driver": lambda: raw().execute("PRAGMA foreign_keys = OFF"),
    "driver's isolation level": setting(raw, "isolation_level", ""),
    "driver's text factory": setting(raw, "text_factory", bytes),
}
# Noted by a subclass of the driver's connection, which only a worker's processes have.
SQLITE_DRIVER = {
    "function": lambda: raw().create_function("lower", 1, lambda text: "messy"),
    "collation": lambda: raw().create_collation("messy", lambda a, b: 0),
    "authorizer": lambda: raw().set_authorizer(lambda *about: 0),
}


def nest():
    with transaction.atomic():
        Group.objects.create(name="nested")
        with transaction.atomic():
            Group.objects.update(name="more")
        list(Group.objects.select_for_update())
        transaction.set_rollback(True)


def fail_inside():
    try:
        with transaction.atomic():
            execute("SELECT nothing_of_that_name")()
    except DatabaseError:
        Group.objects.exists()


def use_wrapper():
    with current().execute_wrapper(passes_on):
        Group.objects.exists()


PLAIN = {
    "get": lambda: Group.objects.filter(name="plain").first(),
    "iterator": lambda: list(Group.objects.iterator()),
    "aggregate": lambda: Group.objects.aggregate(Count("id")),
    "bulk": lambda: Group.objects.bulk_create(Group(name=name) for name in "abc"),
    "delete": lambda: Group.objects.all().delete(),
    "nested": nest,
    "error": fail_inside,
    "wrapper": use_wrapper,
    "enqueue": lambda: enqueue(noop),
    "enqueue_many": lambda: enqueue_many(noop, [()] * 3),
    "driver": lambda: raw().execute("SELECT 1"),
    "introspection": lambda: connection.introspection.get_table_description(
        connection.cursor(), "auth_group"
    ),
}
PLAIN_POSTGRESQL = {
    sql: execute(sql)
    for sql in (
        "SELECT do_no_harm()",
        "SELECT do_no_harm_in_sql()",
        "SELECT * FROM messy_table",
        "SET LOCAL search_path TO tenant",
        "SELECT set_config('dbqueue.mess', 'x', true), 1",
        "SELECT pg_advisory_xact_lock(42)",
        "WITH a AS (SELECT 1) SELECT lower('A') FROM a",
    )
}


def messes():
    return ANYWHERE | (POSTGRESQL if connection.vendor == "postgresql" else SQLITE)


def plain():
    more = PLAIN_POSTGRESQL if connection.vendor == "postgresql" else {}
    return PLAIN | more


FUNCTIONS = """
CREATE FUNCTION do_no_harm() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RETURN count(*) FROM auth_group; END $$;
CREATE FUNCTION do_no_harm_in_sql() RETURNS int LANGUAGE sql IMMUTABLE RETURN 1 + 1;
CREATE FUNCTION leave_a_mess() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('dbqueue.mess', 'x', false); RETURN 1; END $$;
CREATE FUNCTION hide_a_mess() RETURNS int LANGUAGE sql AS 'SELECT leave_a_mess()';
CREATE PROCEDURE make_a_mess() LANGUAGE sql AS 'SELECT leave_a_mess()';
CREATE FUNCTION on_insert() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM hide_a_mess(); RETURN new; END $$;
CREATE TABLE messy_table (id int);
CREATE TRIGGER messy BEFORE INSERT ON messy_table
    FOR EACH ROW EXECUTE FUNCTION on_insert();
CREATE VIEW messy_view AS SELECT hide_a_mess();
CREATE FUNCTION leave_a_stable_mess() RETURNS int STABLE LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('dbqueue.mess', 'x', false); RETURN 1; END $$;
CREATE FUNCTION leave_a_mess_in_sql() RETURNS int LANGUAGE sql
    RETURN length(set_config('dbqueue.mess', 'x', false));
CREATE FUNCTION add_a_mess(int, int) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('dbqueue.mess', 'x', false); RETURN 1; END $$;
CREATE AGGREGATE sum_a_mess(int) (SFUNC = add_a_mess, STYPE = int, INITCOND = '0');
CREATE TABLE stable_table (id int DEFAULT leave_a_stable_mess());
CREATE TABLE checked_table (id int CHECK (add_a_mess(id, 1) = 1));
"""
WITHOUT_FUNCTIONS = """
DROP TABLE checked_table, stable_table; DROP AGGREGATE sum_a_mess(int);
DROP FUNCTION add_a_mess; DROP FUNCTION leave_a_mess_in_sql;
DROP FUNCTION leave_a_stable_mess; DROP FUNCTION do_no_harm_in_sql;
DROP VIEW messy_view; DROP TABLE messy_table; DROP FUNCTION on_insert;
DROP PROCEDURE make_a_mess; DROP FUNCTION hide_a_mess; DROP FUNCTION leave_a_mess;
DROP FUNCTION do_no_harm;
"""

# What calls a function without naming it: a statement that does, how to make it, and
# how to be rid of it.
NAMELESS = {
    "operator": (
        "SELECT 1 @@@ 2 AS compared",  # a new word: the catalogue is read again
        "CREATE OPERATOR @@@ (LEFTARG = int, RIGHTARG = int, FUNCTION = add_a_mess)",
        "DROP OPERATOR @@@ (int, int)",
    ),
    "domain": (
        "SELECT 1::messy_domain",
        "CREATE DOMAIN messy_domain AS int CHECK (add_a_mess(value, 1) = 1)",
        "DROP DOMAIN messy_domain",
    ),
}

_SESSION = """
SELECT current_setting('search_path'), current_user, current_setting('TimeZone'),
    current_setting('dbqueue.mess', true), pg_my_temp_schema()::oid::int > 0,
    current_setting('default_transaction_isolation'),
    (SELECT count(*) FROM pg_locks
     WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
    (SELECT count(*) FROM pg_listening_channels()),
    (SELECT count(*) FROM pg_cursors),
    (SELECT count(*) FROM pg_prepared_statements)
"""
_ATTACHED = "SELECT name FROM pragma_database_list WHERE name NOT IN ('main', 'temp')"


def look():
    """Return what a job can see of its session."""
    wrapper = current()
    seen = {
        "attributes": [
            wrapper.in_atomic_block,
            wrapper.needs_rollback,
            wrapper.force_debug_cursor,
            getattr(wrapper, "tenant", None),
            passes_on in wrapper.execute_wrappers,
            wrapper.settings_dict["CONN_MAX_AGE"],
            sorted(wrapper.settings_dict["OPTIONS"].keys() & {"more"}),
            wrapper.vendor,
            "added" in vars(connections._connections._storage),
        ]
    }
    with wrapper.cursor() as cursor:
        if wrapper.vendor == "postgresql":
            cursor.execute(_SESSION)
            seen["session"] = str(cursor.fetchone())
        else:
            asked = ["PRAGMA foreign_keys", _ATTACHED, "SELECT lower('A')"]
            seen["session"] = [str(cursor.execute(sql).fetchall()) for sql in asked]
            cursor.execute("SELECT count(*) FROM sqlite_temp_master")
            seen["temporary"] = cursor.fetchone()[0]
    seen["driver"] = [raw().row_factory is None, str(getattr(raw(), "autocommit", ""))]
    return seen
