"""The job that is measured: it stamps its own start; no peer can flatter itself."""

import os
import time

import django

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task

STAMPS = os.open(os.environ["STAMPS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


@task
def stamp(number):
    os.write(STAMPS, b"%d %.6f\n" % (number, time.time()))
