"""A keeper's share in schedules: what is due is fired, once, whoever else tries."""
