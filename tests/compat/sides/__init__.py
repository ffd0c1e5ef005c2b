"""One project on Celery and on dbqueue: the same questions, and both answers."""
