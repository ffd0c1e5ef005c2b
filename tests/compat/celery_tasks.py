"""Tasks as projects write them for Celery."""

from datetime import UTC, datetime

from dbqueue.compat.celery import Celery, Task, current_task, shared_task
from dbqueue.compat.celery.exceptions import Ignore, Reject

app = Celery("tests")
heard = []


class Base(Task):
    max_retries = 1

    def before_start(self, *args):
        heard.append("before_start")

    def on_success(self, retval, *args):
        heard.append(f"on_success {retval}")

    def on_failure(self, exc, *args):
        heard.append(f"on_failure {exc}")

    def on_retry(self, exc, *args):
        heard.append(f"on_retry {exc}")

    def after_return(self, status, *args):
        heard.append(f"after_return {status}")


@shared_task
def add(a, b=1):
    return a + b


@shared_task(name="short.name", ignore_result=True)
def named():
    return "not kept"


@shared_task(bind=True, max_retries=2)
def stubborn(self, wanted):
    if self.request.retries < wanted:
        raise self.retry(exc=ValueError("not yet"), countdown=0)
    return [self.request.id, self.request.retries, self.request.called_directly]


@shared_task(autoretry_for=(ConnectionError,), retry_backoff=True, max_retries=2)
def flaky():
    raise ConnectionError("the other side hung up")


@shared_task(autoretry_for=(Exception,), dont_autoretry_for=(KeyError,))
def particular():
    raise KeyError("no key")


@app.task
def fail(message):
    raise ValueError(message)


@app.task(base=Base, bind=True, default_retry_delay=0)
def hooked(self, what):
    if what == "retry" and not self.request.retries:
        raise self.retry(exc=ValueError("again"))
    if what == "fail":
        raise ValueError("broken")
    return what


@shared_task
def outer(a):
    return add.delay(a).id


@shared_task
def ignore():
    raise Ignore


@shared_task
def reject():
    raise Reject("bad")


@shared_task(bind=True)
def report(self):
    self.update_state(state="PROGRESS", meta={"current": 3, "total": 10})


@shared_task(acks_late=True, serializer="json")
def accepted():
    return "accepted"


@shared_task(bind=True)
def countdown(self, number, seen):
    seen = [*seen, number]
    if number > 1:
        raise self.retry(args=[number - 1], kwargs={"seen": seen}, countdown=0)
    return seen


@shared_task(bind=True)
def softly(self):
    if self.request.retries:
        heard.append("again")
        return "done"
    self.retry(countdown=0, throw=False)
    heard.append("after retry()")
    return "not kept"


@shared_task(bind=True)
def details(self):
    self.update_state(state="MIXING", meta={"at": datetime(2026, 1, 2, tzinfo=UTC)})


@shared_task(bind=True)
def gives_up(self, state, meta):
    self.update_state(state=state, meta=meta)
    raise Ignore


@shared_task(bind=True)
def tells(self):
    return [
        self.request.id,
        self.request.headers,
        self.request.get("trace"),
        self.request.parent_id,
        current_task.name,
        self.app.main,
    ]


@shared_task
def collect(*args):
    heard.append(["collect", *args])


@shared_task
def told_of_id(task_id):
    heard.append(["told of id", task_id])


@shared_task
def told_of_error(request, exc, traceback):
    heard.append(["told of error", request.id, str(exc)])


class Counting(Task):
    """A class with an __init__(), a __call__() and an apply_async() of its own."""

    def __init__(self):
        self.calls = 0

    def __call__(self, *args, **kwargs):
        self.calls += 1
        return super().__call__(*args, **kwargs)

    def apply_async(self, args=None, kwargs=None, **options):
        heard.append("apply_async")
        return super().apply_async(args, kwargs, **options)


@app.task(base=Counting, bind=True)
def counted(self, a):
    return [a, self.calls, self.request.called_directly]


class Adder(Task):
    name = "adder"

    def run(self, a, b):
        return a + b


adder = app.register_task(Adder())


@shared_task(soft_time_limit=5, time_limit=20)
def limited():
    return "in time"


@shared_task(rate_limit="2/h")
def seldom():
    return "ran"
