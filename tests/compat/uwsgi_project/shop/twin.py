"""Another app, whose function has a name that `tasks` has, too."""

import os

from shop.noting import note

if os.environ["SIDE"] == "uwsgi":
    from uwsgidecorators import spool
else:
    from dbqueue.compat.uwsgidecorators import spool


@spool
def of_two(args):
    note("of_two", "twin", args["k"])
