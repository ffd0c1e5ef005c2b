"""What a project that leaves Celery brings along: its code, schedules and history."""
