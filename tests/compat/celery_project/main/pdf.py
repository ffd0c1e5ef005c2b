"""Makes a PDF: with WeasyPrint, as the tutorial does, or without."""


def weasyprint(html):
    # Not at the top: the web process needs neither it nor Pango.
    from weasyprint import HTML
    from weasyprint.urls import URLFetcher

    fetcher = URLFetcher(allowed_protocols=["data"])
    return HTML(string=html, url_fetcher=fetcher).write_pdf()


def plain(html):
    return b"%PDF-1.4"
