"""Stands in, in a checkout, for the package that the wheel carries under this name."""

from pathlib import Path

__path__ = [str(Path(__file__).parent.parent / "migrations")]
