"""Tasks of tiers 1 and 2, as projects write them."""

from celery import Task, current_task, shared_task, signals
from celery.exceptions import Ignore, MaxRetriesExceededError, Reject, Retry
from celery.utils.log import get_task_logger
from shop.celery import app

logger = get_task_logger(__name__)
heard = []


@shared_task
def add(a, b=1):
    return a + b


@app.task(name="orders.named")
def named():
    return "named"


@shared_task
def fail(words):
    raise ValueError(words)


@shared_task
def kinds(value):
    return [type(value).__name__, value]


@shared_task(bind=True, max_retries=2)
def retried(self, times):
    if self.request.retries < times:
        raise self.retry(exc=ValueError("again"), countdown=0)
    return self.request.retries


@shared_task(bind=True)
def next_page(self, page, seen=()):
    if page < 3:
        raise self.retry(args=[page + 1], kwargs={"seen": [*seen, page]}, countdown=0)
    return [*seen, page]


@shared_task(bind=True, max_retries=1)
def exhausted(self):
    try:
        raise self.retry(countdown=0)
    except MaxRetriesExceededError:
        return "given up"


@shared_task(
    bind=True,
    autoretry_for=(ConnectionError,),
    dont_autoretry_for=(BrokenPipeError,),
    retry_kwargs={"max_retries": 2, "countdown": 0},
)
def automatic(self, kind):
    heard.append(["automatic", self.request.retries])
    raise {"connection": ConnectionError, "pipe": BrokenPipeError}[kind](kind)


@shared_task(bind=True)
def request(self):
    mine = self.request
    return {
        "id": mine.id == current_task.request.id,
        "args": list(mine.args or ()),
        "kwargs": mine.kwargs,
        "retries": mine.retries,
        "called_directly": mine.called_directly,
        "is_eager": mine.is_eager,
        "header": (mine.headers or {}).get("trace"),
        "task": mine.task,
        "parent": mine.parent_id,
    }


@shared_task
def ignored():
    raise Ignore


@shared_task
def rejected():
    raise Reject("bad", requeue=False)


@shared_task
def caught():
    raise Retry("by hand")


@shared_task(ignore_result=True)
def silent():
    return "not kept"


@shared_task(bind=True)
def told(self):
    self.update_state(state="MIXING", meta={"current": 1, "total": 2})
    heard.append(["told"])
    return "mixed"


@shared_task
def collect(*values):
    heard.append(["collect", *values])


@shared_task
def errback_of_id(task_id):
    heard.append(["errback of id", len(task_id)])


@shared_task
def errback(request, exc, traceback):
    heard.append(["errback", str(exc)])


class Hooked(Task):
    def before_start(self, task_id, args, kwargs):
        heard.append(["before_start", list(args), kwargs])

    def on_success(self, retval, task_id, args, kwargs):
        heard.append(["on_success", retval])

    def on_failure(self, exc, task_id, args, kwargs, einfo):
        heard.append(["on_failure", str(exc), "ValueError" in str(einfo)])

    def on_retry(self, exc, task_id, args, kwargs, einfo):
        heard.append(["on_retry", str(exc)])

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        heard.append(["after_return", status, str(retval)])

    def __call__(self, *args, **kwargs):
        heard.append(["__call__"])
        return super().__call__(*args, **kwargs)


@app.task(base=Hooked, bind=True, default_retry_delay=0)
def hooked(self, what):
    if what == "retry" and not self.request.retries:
        raise self.retry(exc=ValueError("again"))
    if what == "fail":
        raise ValueError("broken")
    return what


class Adder(Task):
    name = "orders.adder"

    def run(self, a, b):
        return a + b


adder = app.register_task(Adder())


@shared_task
def outer(a):
    return add.delay(a).id


@shared_task
def routed():
    return "routed"


def listen(name):
    def note(sender=None, **told):
        if name == "before_task_publish":
            told["headers"]["trace"] = "published"
        heard.append([name, getattr(sender, "name", sender)])

    getattr(signals, name).connect(note, weak=False)


for name in (
    *("task_prerun", "task_postrun", "task_success", "task_failure", "task_retry"),
    *("before_task_publish", "after_task_publish"),
):
    listen(name)
