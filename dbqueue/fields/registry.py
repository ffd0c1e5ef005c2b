"""AsyncFieldRegistry: the upload fields of a project, by ids that pages may know."""

from collections.abc import Iterator
from hashlib import shake_256
from typing import Any

from django.urls import include, path

_every: "list[AsyncFieldRegistry]" = []


class AsyncFieldRegistry:
    """Upload fields by their ids; most projects need the default one alone."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fields_by_id: dict[str, Any] = {}
        _every.append(self)

    def __str__(self) -> str:
        return f"AsyncFieldRegistry(name={self.name!r})"

    def generate_id(self, field: Any) -> str:
        """Return the id of a field: its name, and hashes of the model's and its own."""
        label = shake_256(field.model._meta.label.encode()).hexdigest(8)
        name = shake_256(field.name.encode()).hexdigest(8)
        return f"{label}.{name}.{field.name}"

    def register_field(self, field: Any) -> None:
        """Add a field. Raises ValueError if another one has its id."""
        if field.model.__module__ == "__fake__":  # of a migration
            return
        known = self.fields_by_id.setdefault(self.generate_id(field), field)
        if (known.model._meta.label, known.name) != (
            field.model._meta.label,
            field.name,
        ):
            raise ValueError(f"{field} has the same id as {known} in {self}.")
        # A test may define the model of the same name once more.
        self.fields_by_id[self.generate_id(field)] = field

    def get_url_patterns(self) -> list[Any]:
        """Return what include() takes; the same for every registry."""
        return [path("", include("dbqueue.fields.urls"))]


default_async_field_registry = AsyncFieldRegistry("default")


def field_of(field_id: str) -> Any:
    """Return the field with this id, in whichever registry, or None."""
    for registry in _every:
        if field_id in registry.fields_by_id:
            return registry.fields_by_id[field_id]
    return None


def fields() -> Iterator[Any]:
    """Yield the upload fields of all registries."""
    for registry in _every:
        yield from registry.fields_by_id.values()
