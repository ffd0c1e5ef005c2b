"""Tags of the admin's pages; none where the admin is not installed."""

from importlib import import_module

from django import template
from django.apps import apps

register = template.Library()

# Django imports this wherever a project has templates, and models of the admin's would
# be an error in one that has no admin.
if apps.is_installed("django.contrib.admin"):
    register = import_module("dbqueue.admin.tags").register
