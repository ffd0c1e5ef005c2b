"""What is seen at a glance: how the queues are, and what to do about it."""
