"""Schedules that code and settings declare."""
