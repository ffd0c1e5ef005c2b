"""ALLIANCE_PLATFORM: what is read of the setting, and what is refused."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

STORAGE, CORE = "STORAGE", "CORE"
UPLOAD_AGE, DOWNLOAD_AGE = "UPLOAD_URL_EXPIRY", "DOWNLOAD_URL_EXPIRY"
_PERMISSIONS = "RESOLVE_PERM_NAME"


def upload_age() -> float | None:
    """Return the seconds that an address to upload to is valid, None = URL_AGE."""
    return _section(STORAGE).get(UPLOAD_AGE)


def download_age() -> float | None:
    """Return the seconds that an address to download from is valid, None = URL_AGE."""
    return _section(STORAGE).get(DOWNLOAD_AGE)


def permission_name(model: Any, action: str) -> str:
    """Return the name of a model's permission, as RESOLVE_PERM_NAME has it.

    Default: "app.model_action".
    """
    resolve = _resolver()
    if resolve is None:
        return f"{model._meta.app_label}.{model._meta.model_name}_{action}"
    is_global = action == "create"  # as there is no object yet
    return resolve(model._meta.app_config, model, action, is_global)


def problems() -> Iterator[str]:
    """Yield a sentence for each value that is refused."""
    for key in (UPLOAD_AGE, DOWNLOAD_AGE):
        value = _section(STORAGE).get(key, 1)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or value < 1:
            yield (
                f"ALLIANCE_PLATFORM['STORAGE'][{key!r}]={value!r} must be a number of "
                "seconds, at least 1: an address is never valid for ever."
            )
    try:
        _resolver()
    except ImportError as error:
        yield f"ALLIANCE_PLATFORM['CORE'][{_PERMISSIONS!r}] cannot be imported: {error}"


def _resolver() -> Callable[..., str] | None:
    given: Any = _section(CORE).get(_PERMISSIONS)
    resolve: Callable[..., str] = (
        import_string(given) if isinstance(given, str) else given
    )
    return resolve


def _section(name: str) -> Mapping[str, Any]:
    given = getattr(settings, "ALLIANCE_PLATFORM", {})
    found = given.get(name) if isinstance(given, Mapping) else None
    return found if isinstance(found, Mapping) else {}
