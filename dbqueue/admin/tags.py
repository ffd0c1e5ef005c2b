"""What the tags of the admin's pages do."""

from typing import Any

from django import template
from django.contrib import admin
from django.contrib.admin.sites import all_sites
from django.contrib.admin.templatetags.admin_urls import admin_urlname
from django.urls import reverse

from dbqueue.admin import site as pages
from dbqueue.admin import texts
from dbqueue.admin.listing.listing import Listing

register = template.Library()

register.simple_tag(texts.amount)
register.simple_tag(texts.clock)
register.simple_tag(texts.duration)
register.simple_tag(texts.moment)
register.simple_tag(texts.rate)
register.simple_tag(texts.share)
register.simple_tag(texts.size)
register.filter("admin_name", admin_urlname)


@register.simple_tag
def list_url(cl: Listing, **changes: Any) -> str:
    """Return the address of the list with these parameters changed."""
    return cl.url(**changes)


register.filter("class_name", texts.class_name)


@register.simple_tag(takes_context=True)
def site_url(context: Any, name: str, *args: Any) -> str:
    """Return the address of a page of the site that is shown."""
    site_name = getattr(context.get("request"), "current_app", None)
    return reverse(f"admin:dbqueue_{name}", args=args, current_app=site_name)


@register.inclusion_tag("admin/dbqueue/tabs.html", takes_context=True)
def queue_tabs(context: Any) -> dict[str, Any]:
    """Show the tabs on a page that the admin makes of a model."""
    request, opts = context["request"], context["opts"]
    name = getattr(request, "current_app", "admin")
    site = next((site for site in all_sites if site.name == name), admin.site)
    names = pages.databases()
    return {
        "tabs": pages.tabs(request, site, str(opts.model_name)),
        "databases": names if len(names) > 1 else [],
        "chosen_database": pages.chosen(request),
    }
