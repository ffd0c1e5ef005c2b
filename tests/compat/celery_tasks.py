"""Tasks as projects write them for Celery."""

from dbqueue.compat.celery import Celery, Task, shared_task
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
