"""The arguments of a task's function as the fields of a form, and back."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

PREFIX = "arg_"


@dataclass(slots=True)
class Field:
    """One argument; its value is JSON, or plain text if it says that it is a str."""

    name: str
    hint: str = ""
    is_required: bool = True
    is_text: bool = False
    value: str = ""
    problem: str = ""

    @property
    def html_name(self) -> str:
        return f"{PREFIX}{self.name}"


class SignatureForm:
    """The form that enqueues a task."""

    def __init__(self, task: Any, given: Mapping[str, str] | None = None) -> None:
        self._task = task
        self._parameters = _parameters(task)
        self.fields = [_field(parameter) for parameter in self._parameters]
        self.problem = ""
        for field in self.fields if given is not None else []:
            field.value = (given or {}).get(field.html_name, "")

    def call(self) -> tuple[list[Any], dict[str, Any]] | None:
        """Return args and kwargs; None if a field is wrong, which then says so."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        for field, parameter in zip(self.fields, self._parameters, strict=True):
            if not field.value.strip() and not (field.is_text and field.is_required):
                if field.is_required:
                    field.problem = _("It is required.")
                continue
            value = _read(field)
            if parameter.kind is parameter.VAR_POSITIONAL:
                args += value if isinstance(value, list) else [value]
            elif parameter.kind is parameter.VAR_KEYWORD:
                kwargs |= value if isinstance(value, dict) else {}
            else:
                kwargs[field.name] = value
        return None if any(field.problem for field in self.fields) else (args, kwargs)


def _read(field: Field) -> Any:
    if field.is_text:
        return field.value
    try:
        return json.loads(field.value)
    except ValueError as error:
        field.problem = _("It is no JSON: %s. A text stands in quotes.") % error
        return None


def _parameters(task: Any) -> list[inspect.Parameter]:
    try:
        found = list(inspect.signature(task.func).parameters.values())
    except (TypeError, ValueError):
        return []
    return found[int(task.takes_context) :]


def _field(parameter: inspect.Parameter) -> Field:
    annotation = parameter.annotation
    hint = "" if annotation is parameter.empty else _named(annotation)
    field = Field(parameter.name, hint, is_text=annotation in (str, "str"))
    several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    if parameter.default is not parameter.empty or several:
        field.is_required = False
    if parameter.default not in (parameter.empty, None):
        field.value = _shown(parameter.default, is_text=field.is_text)
    return field


def _named(annotation: Any) -> str:
    return (
        annotation
        if isinstance(annotation, str)
        else inspect.formatannotation(annotation)
    )


def _shown(value: Any, *, is_text: bool) -> str:
    if is_text:
        return str(value)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        return ""
