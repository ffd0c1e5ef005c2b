"""The tables of the guides say what the tests say, and name everything there is."""

import pytest

from tests.compat import tables

# What uWSGI's decorators and functions for background work are called.
UWSGI = """
    @spool @spoolraw @spoolforever @timer @rbtimer @cron @signal @filemon @rpc @mule
    @muleloop @mulemsg @farm @mulefunc @postfork @lock @thread @harakiri @erlang
    uwsgi.spool uwsgi.send_to_spooler uwsgi.spooler_jobs uwsgi.spooler_get_task
    uwsgi.set_spooler_frequency uwsgi.i_am_the_spooler uwsgi.spooler_pid
    uwsgi.spooler_pids uwsgi.signal uwsgi.register_signal uwsgi.signal_registered
    uwsgi.add_timer uwsgi.add_rb_timer uwsgi.add_cron uwsgi.add_file_monitor
    uwsgi.lock uwsgi.unlock uwsgi.is_locked uwsgi.mule_msg uwsgi.rpc uwsgi.SPOOL_OK
    uwsgi.SPOOL_RETRY uwsgi.SPOOL_IGNORE pass_arguments at priority spooler body
"""


@pytest.mark.parametrize("guide", tables.GUIDES)
def test_the_table_of_a_guide_is_what_the_tests_state(guide):
    text = tables.path_of(guide).read_text()

    assert text == tables.written(guide), "Run: python -m tests.compat.tables"


def test_every_name_of_uwsgi_is_in_the_table():
    text = tables.table("from-uwsgi-spooler")

    assert not [name for name in UWSGI.split() if name not in text]
