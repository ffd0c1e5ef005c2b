"""Another app with functions of the same names."""

from dbqueue.compat.uwsgidecorators import spool

seen = []


@spool
def note(args):
    seen.append(args)
