"""What is announced of uploads, after the commit; the sender is the model's class.

Each signal carries `upload`, the Upload. A receiver that raises is logged and has no
other effect.
"""

from django.dispatch import Signal

upload_stored = Signal()  # all bytes are in the database, and a job waits
upload_promoted = Signal()  # the field holds the new name
upload_rejected = Signal()  # its content was refused, for good
upload_superseded = Signal()  # a newer upload or change won, or the row was deleted
upload_failed = Signal()  # attempts are used up; the bytes are kept
