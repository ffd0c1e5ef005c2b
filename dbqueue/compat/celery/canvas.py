"""Signatures: a call to be made later. What joins them together is refused."""

from typing import Any, NoReturn

from dbqueue.compat.celery.app import making

__all__ = ["Signature", "chain", "chord", "chunks", "group", "signature", "xmap"]


class Signature(dict[str, Any]):
    """A task with arguments and options of a call; a dict, so that it is JSON."""

    def __init__(
        self,
        task: Any = None,
        args: Any = None,
        kwargs: Any = None,
        options: Any = None,
        type: Any = None,
        subtask_type: Any = None,
        immutable: bool = False,
        **more: Any,
    ) -> None:
        if isinstance(task, dict):
            super().__init__(task)
            return
        known = type or (None if isinstance(task, str) else task)
        super().__init__(
            task=known.name if known is not None else task,
            args=tuple(args or ()),
            kwargs=dict(kwargs or {}),
            options={**(options or {}), **more},
            subtask_type=subtask_type,
            immutable=immutable,
        )

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"A signature has no {name!r}.") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __repr__(self) -> str:
        given = [repr(item) for item in self["args"]]
        given += [f"{name}={value!r}" for name, value in self["kwargs"].items()]
        return f"{self['task']}({', '.join(given)})"

    def __hash__(self) -> int:  # type: ignore[override]  # a dict has none
        return hash(self["task"])

    @property
    def type(self) -> Any:
        """The task. Raises NotRegistered."""
        return making.find(self["task"])

    @property
    def name(self) -> str:
        return str(self["task"])

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the task here and now."""
        args, kwargs, _ = self._merged(args, kwargs, {})
        return self.type(*args, **kwargs)

    def delay(self, *args: Any, **kwargs: Any) -> Any:
        return self.apply_async(args, kwargs)

    def apply_async(self, args: Any = (), kwargs: Any = None, **how: Any) -> Any:
        """Enqueue it; positional arguments come before its own."""
        args, kwargs, how = self._merged(args, kwargs, how)
        return self.type.apply_async(args, kwargs, **how)

    def apply(self, args: Any = (), kwargs: Any = None, **how: Any) -> Any:
        """Run it here."""
        args, kwargs, how = self._merged(args, kwargs, how)
        return self.type.apply(args, kwargs, **how)

    def clone(self, args: Any = (), kwargs: Any = None, **how: Any) -> "Signature":
        """Return a copy, with more arguments."""
        args, kwargs, how = self._merged(args, kwargs, how)
        mine = Signature(self["task"], args, kwargs, how)
        mine["immutable"] = self.get("immutable", False)
        return mine

    partial = clone

    def set(self, immutable: bool | None = None, **options: Any) -> "Signature":
        """Add options of the call."""
        if immutable is not None:
            self["immutable"] = immutable
        self["options"] = {**self["options"], **options}
        return self

    def set_immutable(self, immutable: bool) -> None:
        self["immutable"] = immutable

    def link(self, callback: Any) -> Any:
        """Have a signature called with what the task returned, once it has."""
        return self._linked("link", callback)

    def link_error(self, errback: Any) -> Any:
        """Have a signature called if the task has failed."""
        return self._linked("link_error", errback)

    def on_error(self, errback: Any) -> "Signature":
        self.link_error(errback)
        return self

    def __or__(self, other: Any) -> NoReturn:
        _refuse("chain(), which is what | makes,")

    def replace(self, *args: Any, **more: Any) -> NoReturn:
        _refuse("replace()")

    def freeze(self, *args: Any, **more: Any) -> NoReturn:
        _refuse("freeze()")

    def _linked(self, kind: str, callback: Any) -> Any:
        known = signatures(self["options"].get(kind))
        linked = [*known, *signatures(callback)]
        self["options"] = {**self["options"], kind: linked}
        return callback

    def _merged(self, args: Any, kwargs: Any, how: dict[str, Any]) -> tuple[Any, ...]:
        args, kwargs = tuple(args or ()), dict(kwargs or {})
        options = {**self["options"], **how}
        if self.get("immutable"):
            return tuple(self["args"]), dict(self["kwargs"]), options
        return (*args, *self["args"]), {**self["kwargs"], **kwargs}, options


def signature(task: Any, *args: Any, **options: Any) -> Signature:
    """Return the signature of a task, by the task, its name, or as a dict."""
    if isinstance(task, Signature):
        return task.clone()
    return Signature(task, *args, **options)


def signatures(given: Any) -> list[Signature]:
    """Return what link= or link_error= names: one, or several. Raises TypeError."""
    items = given if isinstance(given, list | tuple) else [given]
    return [_signature(item) for item in items if item is not None]


def _signature(item: Any) -> Signature:
    if isinstance(item, dict) and "task" in item:
        return item if isinstance(item, Signature) else Signature(item)
    if hasattr(item, "apply_async"):
        return Signature(item)
    raise TypeError(f"{item!r} is neither a task nor a signature, such as add.s(1).")


def _refuse(what: str) -> NoReturn:
    raise NotImplementedError(
        f"{what} is not supported by dbqueue.compat.celery yet: workflows come later. "
        "Enqueue the next task at the end of the one before, or with link=."
    )


def chain(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("chain()")


def group(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("group()")


def chord(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("chord()")


def chunks(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("chunks()")


def xmap(*tasks: Any, **options: Any) -> NoReturn:
    _refuse("map()")


starmap = xstarmap = xmap
maybe_signature = signature
subtask = signature
