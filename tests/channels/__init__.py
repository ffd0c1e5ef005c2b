"""Stands for an app with a runworker of its own, as channels has."""
