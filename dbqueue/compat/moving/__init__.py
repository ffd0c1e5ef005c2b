"""Moving over: what waits in the stores of other queues becomes jobs and schedules."""
