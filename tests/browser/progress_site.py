"""A small site with jobs: one page for each, and the pages of progress."""

import os

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpResponse
from django.template import RequestContext, Template
from django.urls import include, path

from tests.browser import progress_tasks
from tests.tasks import noop

PAGE = """{% load dbqueue_progress static %}<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>A job</title>
  <link rel="stylesheet" href="{% static 'dbqueue/job-progress.css' %}">
</head>
<body>
  <main>
    <h1>A job</h1>
    {% job_progress job label="Your report" cancel=True %}
  </main>
</body>
</html>"""

POLICY = "default-src 'self'"
if "SITE_CONNECTS" in os.environ:  # a bucket that files are sent to
    POLICY += f"; connect-src 'self' {os.environ['SITE_CONNECTS']}"


class content_security_policy:
    """Let pages load what is the site's own, and run no script inside them."""

    sync_capable = async_capable = True

    def __init__(self, get_response):
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request):
        response = self.get_response(request)
        if iscoroutinefunction(self):
            return self.later(response)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    async def later(self, response):
        response = await response
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response


def page(request, id):
    return HttpResponse(Template(PAGE).render(RequestContext(request, {"job": id})))


def start(request):
    """Enqueue a job that does what the file says, and show its page."""
    result = progress_tasks.follow.enqueue(request.GET["script"])
    return page(request, result.id)


def wait(request):
    """Enqueue a job that nobody takes."""
    return page(request, noop.using(queue_name="nobody").enqueue().id)


urlpatterns = [
    path("", wait),
    path("start/", start),
    path("pages/<str:id>/", page),
    path("jobs/", include("dbqueue.progress.urls")),
]
