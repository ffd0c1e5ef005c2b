"""Tasks made with Django's own decorator, after tests/tasks/tasks.py of Django.

Copyright (c) Django Software Foundation and individual contributors; BSD-3-Clause.
"""

from tests.conformance.framework import TaskContext, task


@task()
def noop(*args, **kwargs):
    return None


@task
def noop_bare(*args, **kwargs):
    return None


@task()
async def anoop(*args, **kwargs):
    return None


@task()
def meaning_of_life():
    return 42


@task()
def raises_value_error():
    raise ValueError("Raised as a ValueError")


@task()
def raises_system_exit():
    raise SystemExit("Raised as a SystemExit")


@task()
def raises_keyboard_interrupt():
    raise KeyboardInterrupt("Raised as a KeyboardInterrupt")


@task()
def raises_nested():
    raise ValueError(ValueError("An exception inside"))


@task()
def returns_a_function():
    return lambda: True


@task(takes_context=True)
def own_id(context):
    return context.task_result.id


@task(takes_context=True)
def expects_attempt(context, attempt):
    assert isinstance(context, TaskContext)
    assert context.attempt == attempt
