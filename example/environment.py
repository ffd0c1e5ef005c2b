"""What the environment says of the database and of mail, in Django's terms."""

from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def database(url):
    """Return the DATABASES entry for postgres://user:password@host:port/name.

    `?host=/folder` names a socket; other parameters go to libpq as they are. An SQLite
    file is sqlite:////folder/file.
    """
    parts = _split("DATABASE_URL", url, {"postgres", "postgresql", "sqlite"})
    name = unquote(parts.path[1:])
    return sqlite(name) if parts.scheme == "sqlite" else _postgres(parts, name)


def sqlite(path):
    """Return the DATABASES entry for an SQLite file that several processes write to."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    }


def smtp(url):
    """Return the mailer options for smtp://user:password@host:port.

    smtp+tls:// starts TLS on a plain connection, smtps:// begins with it.
    """
    parts = _split("EMAIL_URL", url, {"smtp", "smtp+tls", "smtps"})
    if not parts.hostname:
        raise ImproperlyConfigured("EMAIL_URL names no host.")
    usual = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
    return {
        "host": parts.hostname,
        "port": parts.port or usual[parts.scheme],
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_tls": parts.scheme == "smtp+tls",
        "use_ssl": parts.scheme == "smtps",
        "timeout": 30,  # seconds; without it a silent server holds a worker for ever
    }


def _split(variable: str, url: str, schemes: set[str]) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme not in schemes:
        raise ImproperlyConfigured(
            f"{variable} begins with {parts.scheme!r}; "
            f"it must begin with one of {', '.join(sorted(schemes))}."
        )
    return parts


def _postgres(parts, name):
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name or "postgres",
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or unquote(parts.hostname or ""),
        "PORT": options.pop("port", None) or parts.port or "",
        "OPTIONS": options,
    }
