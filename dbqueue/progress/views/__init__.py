"""The views of progress; dbqueue.progress.urls has their addresses."""
