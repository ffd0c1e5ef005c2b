"""The mail that brings the summary, and a mail backend that keeps mails in a folder."""

import re
from pathlib import Path

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend
from django.template.loader import render_to_string


def summary_mail(profile, pdf):
    """Return the mail with the PDF attached, ready to send."""
    mail = EmailMessage(
        subject=f"Your summary, {profile.name}",
        body=render_to_string("people/mail.txt", {"profile": profile}),
        to=[profile.email],
        # The worker may die after the mail went out and before the job is marked as
        # done. A second attempt sends the same id, by which receivers know a duplicate.
        headers={"Message-ID": f"<{profile.reference}@about-me.example.com>"},
    )
    mail.attach("about-me.pdf", pdf, "application/pdf")
    return mail


def week_mail(until, profiles):
    """Return the mail about a week's profiles to whoever runs the site."""
    names = "\n".join(f"- {profile.name}" for profile in profiles)
    count = len(profiles)
    return EmailMessage(
        subject=f"The week up to {until:%Y-%m-%d}",
        body=f"People who told about themselves: {count}\n{names}",
        to=[settings.DEFAULT_FROM_EMAIL],
        # The tick's own id: should the job run again, it is the same mail.
        headers={"Message-ID": f"<week-{until:%Y%m%d}@about-me.example.com>"},
    )


class FolderBackend(BaseEmailBackend):
    """Writes each mail to an .eml file, which mail programs can open."""

    def __init__(self, file_path=None, **options):
        super().__init__(**options)
        self.folder = Path(file_path or settings.EMAIL_FILE_PATH)

    def send_messages(self, email_messages):
        self.folder.mkdir(parents=True, exist_ok=True)
        for mail in email_messages:
            self._write(mail.message())
        return len(email_messages)

    def _write(self, message):
        sent_as = message["Message-ID"].strip("<>").split("@")[0]
        target = self.folder / (re.sub(r"[^\w.-]", "_", sent_as) + ".eml")
        part = target.with_suffix(".part")
        part.write_bytes(message.as_bytes())
        part.replace(target)
