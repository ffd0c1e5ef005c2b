"""Schedules: jobs that recur, fired by any keeper, each tick once."""
