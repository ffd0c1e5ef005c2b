"""Tasks of schedules, and two schedules that are declared at import."""

from dataclasses import asdict

from dbqueue import Every, Limit, current_context, enqueue, task


@task(takes_context=True)
def tick(context):
    """Return what the job knows of its tick."""
    if context.schedule is None:
        return None
    known = asdict(context.schedule)
    for name in ("scheduled_for", "previous"):
        known[name] = known[name] and known[name].isoformat()
    return known | {"bound": current_context()}


@task
def tick_again():
    return enqueue(tick).id


@task
def pair(a, b):
    return [a, b]


@task(limit=Limit(concurrency=1))
def one_at_a_time():
    return None


@task(schedule=Every(86_400, offset=3600))
def declared():
    return None
