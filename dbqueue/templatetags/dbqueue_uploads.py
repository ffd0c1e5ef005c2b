"""{% pending_image %}: a picture, or the state of its upload."""

from typing import Any

from django import template
from django.db import models

from dbqueue.progress.placeholders import TEMPLATE, shown_live

register = template.Library()


@register.inclusion_tag(TEMPLATE, takes_context=True)
def pending_image(
    context: template.Context,
    instance: models.Model,
    field_name: str,
    *,
    variant: str = "",
    alt: str | None = None,
    placeholder: str = "",
    **attributes: Any,
) -> dict[str, Any]:
    """Show the picture of a field; while a new one is waiting, or failed, say so.

    variant: one of save_image()'s variants; the picture itself where there is none.
    alt: the text in place of the picture; default the field's name.
    placeholder: the URL of what is shown until there is a first picture.
    attributes: of the <img>, such as class="round" loading="lazy".

    Costs one query, none after prefetch_uploads(); the storage is asked for URLs alone.
    With dbqueue.progress.urls among the URLs, the picture comes by itself.
    """
    found = shown_live(
        instance,
        field_name,
        variant=variant,
        alt=alt,
        placeholder=placeholder,
        attributes=attributes,
    )
    return {**found, "csp_nonce": context.get("csp_nonce")}
