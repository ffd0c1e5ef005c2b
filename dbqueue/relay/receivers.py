"""What this wing adds to the work of others, where a queue has an engine."""

from django.core.signals import setting_changed

from dbqueue import status
from dbqueue.relay import claiming, reasons

claiming.take_part()
setting_changed.connect(claiming.take_part_again, dispatch_uid="dbqueue.relay")
status.reasons.append(reasons.of_dispatched)
