"""What uWSGI's spooler, its timers and its mules do, on jobs and schedules."""
