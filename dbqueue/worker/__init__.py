"""The worker: a supervisor, its keeper, and the children that run jobs."""
