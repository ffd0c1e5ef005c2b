"""What the clusters of django-q2 keep in the database: packages, and their statistics.

A package is text that django-q2 has signed. Nothing here opens it.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue import dialects
from dbqueue.models.fields import Key, Moment

__all__ = ["Call", "ClusterStat", "Package"]


class PackageQuerySet(models.QuerySet["Package"]):
    def of(self, cluster: str) -> "PackageQuerySet":
        return self.filter(cluster=cluster)

    def waiting(self) -> "PackageQuerySet":
        """Return those that a cluster may take now."""
        return self.filter(due_at__lte=dialects.of(self.db).clock())

    def held(self) -> "PackageQuerySet":
        """Return those that a cluster has, and has not acknowledged."""
        return self.filter(due_at__gt=dialects.of(self.db).clock())

    def refused(self) -> "PackageQuerySet":
        """Return those that no cluster is given any more."""
        return self.filter(due_at=None)


class Package(models.Model):
    """A task of django-q2 that no cluster has acknowledged yet."""

    cluster = models.CharField(_("cluster"), max_length=100)
    payload = models.TextField(_("package"))
    # How often a cluster was given it; the fence. It only grows.
    attempt = models.IntegerField(_("attempt"), default=0)
    # When a cluster may be given it: the lease of who has it ends then. Null: never.
    due_at = Moment(_("due at"), null=True)
    # The host and the process that was given it last.
    holder = models.CharField(_("held by"), max_length=255, default="")
    enqueued_at = Moment(_("enqueued at"))

    objects = PackageQuerySet.as_manager()

    class Meta:
        verbose_name = _("package of django-q2")
        verbose_name_plural = _("packages of django-q2")
        default_permissions = ("view", "change", "delete")
        indexes = [
            models.Index(
                fields=["cluster", "due_at", "id"],
                condition=models.Q(due_at__isnull=False),
                name="dbqueue_package_due",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster} {self.pk}"


class ClusterStat(models.Model):
    """What a cluster said of itself last, as django-q2 has signed it."""

    key = models.CharField(_("key"), max_length=255, primary_key=True)
    value = models.TextField(_("value"))
    expires_at = Moment(_("expires at"))

    class Meta:
        verbose_name = _("statistic of a cluster")
        verbose_name_plural = _("statistics of clusters")
        default_permissions = ()

    def __str__(self) -> str:
        return self.key


class Call(models.Model):
    """What a job has that was enqueued by django-q2's names: its name and its group."""

    job_id = Key(primary_key=True, editable=False)
    name = models.CharField(_("name"), max_length=100)
    group = models.CharField(_("group"), max_length=100, null=True)
    made_at = Moment(_("enqueued at"))

    class Meta:
        verbose_name = _("call by name or group")
        verbose_name_plural = _("calls by name or group")
        default_permissions = ()
        indexes = [
            models.Index(fields=["name"], name="dbqueue_call_name"),
            models.Index(
                fields=["group"],
                condition=models.Q(group__isnull=False),
                name="dbqueue_call_group",
            ),
        ]

    def __str__(self) -> str:
        return self.name
