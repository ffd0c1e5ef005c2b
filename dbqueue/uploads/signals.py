"""What is announced of uploads, after the commit; the sender is the model's class.

Each signal carries `upload`, the Upload. A receiver that raises is logged and hinders
nobody.
"""

from functools import partial
from typing import Any

from django.db import transaction
from django.dispatch import Signal

from dbqueue.uploads.models import Upload

upload_stored = Signal()  # all bytes are in the database, and a job waits
upload_promoted = Signal()  # the field holds the new name
upload_rejected = Signal()  # its content was refused, for good
upload_superseded = Signal()  # something newer won, or the row is gone
upload_failed = Signal()  # attempts are used up; the bytes are kept


def announce(signal: Signal, sender: Any, upload: Upload) -> None:
    """Send the signal once the transaction on the queue's database has committed."""
    send = partial(signal.send_robust, sender=sender, upload=upload)
    transaction.on_commit(send, using=str(upload._state.db))
