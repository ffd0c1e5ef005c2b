"""Deletes expired uploads and unreferenced files, and repairs lost jobs."""
