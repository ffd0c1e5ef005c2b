"""What uploads hear of their jobs: that one was ended from outside."""

from dbqueue.dialects import hooks
from dbqueue.uploads import endings

hooks.after_end.append(endings.after_end)
