"""What the project's views do: tasks in a group, one rolled back, schedules."""

from django.db import transaction
from django_q.models import Schedule
from django_q.tasks import Chain, async_task, schedule

for word in ("one", "three"):
    async_task(
        "main.tasks.count_letters",
        word,
        task_name=word,
        group="words",
        hook="main.tasks.hook",
    )
async_task("main.tasks.fail", "bad", task_name="bad", hook="main.tasks.hook")
try:
    with transaction.atomic():
        async_task("main.tasks.count_letters", "undone", task_name="undone")
        raise RuntimeError
except RuntimeError:
    pass
schedule("main.tasks.count_letters", "once", name="once", schedule_type=Schedule.ONCE)
schedule(
    "main.tasks.count_letters",
    "hourly",
    name="hourly",
    hook="main.tasks.hook",
    schedule_type=Schedule.HOURLY,
)
chain = Chain(group="chained")
chain.append("main.tasks.count_letters", "first")
chain.append("main.tasks.count_letters", "second!")
chain.run()
