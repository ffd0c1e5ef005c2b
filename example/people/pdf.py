"""A profile as a PDF, drawn by WeasyPrint."""

from threading import Lock

from django.template.loader import render_to_string

from people import photos

APT = (
    "sudo apt-get install -y --no-install-recommends "
    "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0"
)


class PdfUnavailable(Exception):
    """WeasyPrint, or a system library that it stands on, is missing."""


def render_pdf(profile):
    """Return the bytes of the profile's PDF. Raises PdfUnavailable."""
    weasyprint = load_weasyprint()
    context = {"profile": profile, "portrait": photos.portrait(profile)}
    html = render_to_string("people/summary.html", context)
    # The template escapes what a visitor wrote. Should markup ever slip through, it
    # can fetch neither a file of this machine nor a page of its network.
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=["data"])
    return weasyprint.HTML(string=html, url_fetcher=fetcher).write_pdf()


def load_weasyprint():
    """Return the module. Raises PdfUnavailable, which says what to install."""
    try:
        # A second thread would see the ruins of an import that fails in a first one.
        with _importing:
            # Not at the top: the site can do without its 40 MB, and without Pango.
            import weasyprint
    except ImportError as error:
        raise PdfUnavailable(
            "WeasyPrint is not installed. Run: pip install 'dbqueue-django[pdf]'"
        ) from error
    except OSError as error:
        raise PdfUnavailable(
            f"WeasyPrint needs Pango, which this system lacks. Run: {APT}"
        ) from error
    return weasyprint


_importing = Lock()
