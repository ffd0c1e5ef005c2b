"""A module that cannot be imported."""

raise RuntimeError("Broken on purpose")
