"""Middleware for MIDDLEWARE."""

from dbqueue.middleware.requests import BindRequest

__all__ = ["BindRequest"]
