from django.core.mail import EmailMessage

from dbqueue.compat.celery import shared_task
from dbqueue.compat.celery.utils.log import get_task_logger

logger = get_task_logger(__name__)


@shared_task
def send_summary(data):
    mail = EmailMessage(f"About {data['name']}", data["about_me"], to=[data["email"]])
    mail.attach("summary.pdf", b"%PDF-1.4", "application/pdf")
    mail.send()
    logger.info("Sent to %s", data["email"])
    return f"sent to {data['email']}"
