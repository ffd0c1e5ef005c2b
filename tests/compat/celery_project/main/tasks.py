from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils.module_loading import import_string

from dbqueue.compat.celery import shared_task
from dbqueue.compat.celery.utils.log import get_task_logger

logger = get_task_logger(__name__)


@shared_task
def send_summary(data):
    pdf = import_string(settings.MAKE_PDF)(render_to_string("summary.html", data))
    mail = EmailMessage(f"About {data['name']}", data["about_me"], to=[data["email"]])
    mail.attach("summary.pdf", pdf, "application/pdf")
    mail.send()
    logger.info("Sent to %s", data["email"])
    return f"sent to {data['email']}"
