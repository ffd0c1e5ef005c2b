"""Celery's utilities that tasks import."""
