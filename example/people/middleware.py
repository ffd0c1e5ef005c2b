"""The site's own middleware."""


def content_security_policy(get_response):
    """Let pages load what is the site's own, and run no script inside them."""

    def middleware(request):
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
        return response

    return middleware
