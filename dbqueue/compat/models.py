"""The tables of this wing: those of django-q2, and bodies of spooled jobs."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbqueue.compat.django_q2.models import Call, ClusterStat, Package
from dbqueue.ids import uuid7

__all__ = ["Call", "ClusterStat", "Package", "SpoolBody"]


class SpoolBody(models.Model):
    """A piece of a body. It is deleted when its job was successful, or is forgotten."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    job_id = models.UUIDField(_("job"))
    position = models.IntegerField()
    data = models.BinaryField()

    class Meta:
        verbose_name = _("body of a spooled job")
        verbose_name_plural = _("bodies of spooled jobs")
        constraints = [
            models.UniqueConstraint(
                fields=["job_id", "position"], name="dbqueue_spoolbody_position"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} {self.position}"
