"""The pages of packages that dbqueue takes the place of, or works with."""

from django.conf import settings
from django.contrib import admin

from dbqueue.compat.django_q2.admin import PackageAdmin
from dbqueue.compat.django_q2.models import Package

# Of no interest where nobody's clusters keep their packages here.
if getattr(settings, "Q_CLUSTER", {}).get("broker_class"):
    admin.site.register(Package, PackageAdmin)
