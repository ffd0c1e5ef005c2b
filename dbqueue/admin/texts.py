"""How pages say durations, moments, amounts and names, in every language."""

from datetime import datetime
from typing import Any

from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

MINUTE, HOUR, DAY = 60, 3600, 86_400


def duration(seconds: float | None) -> SafeString | str:
    """Return a length of time as people say it; "" for None."""
    if seconds is None:
        return ""
    return isolated(plain_duration(seconds))


def plain_duration(seconds: float) -> str:
    """Return a length of time without markup: "4 ms", "1.2 s", "3 min 20 s"."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        shown = _number(milliseconds, 0 if milliseconds >= 10 else 1)
        return _("%s ms") % shown
    if seconds < 9.95:
        return _("%s s") % _number(seconds, 1)
    whole = round(seconds)
    if whole < MINUTE:
        return _("%s s") % whole
    if whole < HOUR:
        return _two(whole, MINUTE, _("%s min"), _("%s s"), 1)
    if whole < 2 * DAY:
        return _two(whole, HOUR, _("%s h"), _("%s min"), MINUTE)
    return _two(whole, DAY, _("%s d"), _("%s h"), HOUR)


def moment(when: datetime | None) -> SafeString | str:
    """Return a moment to the second, in the site's time zone; "" for None."""
    if when is None:
        return ""
    local = as_local(when)
    return format_html(
        '<time datetime="{}" dir="ltr"><span class="dbq-date">{}</span> {}</time>',
        when.isoformat(),
        f"{local:%Y-%m-%d}",
        f"{local:%H:%M:%S}",
    )


def clock(when: datetime) -> SafeString:
    """Return the time of day to the millisecond, in the site's time zone."""
    local = as_local(when)
    text = f"{local:%H:%M:%S}.{local.microsecond // 1000:03}"
    return format_html(
        '<time datetime="{}" dir="ltr">{}</time>', when.isoformat(), text
    )


def as_local(when: datetime) -> datetime:
    """Return the moment in the site's time zone."""
    return timezone.localtime(when) if timezone.is_aware(when) else when


def amount(number: int | None) -> SafeString | str:
    """Return a whole number with the separators of the language; "" for None."""
    if number is None:
        return ""
    text = formats.number_format(int(number), use_l10n=True, force_grouping=True)
    more = "+" if str(number).endswith("+") else ""  # an AtLeast
    return isolated(f"{text}{more}")


def share(part: int, whole: int) -> SafeString | str:
    """Return a part of a whole as a percentage; "" of nothing."""
    if not whole:
        return ""
    percent = 100 * part / whole
    return isolated(_("%s%%") % _number(percent, 1 if 0 < percent < 10 else 0))


def rate(per_second: float | None) -> SafeString | str:
    """Return how many a second, or a minute if they are few."""
    if per_second is None:
        return ""
    if per_second >= 1:
        return isolated(_("%s/s") % _number(per_second, 0 if per_second >= 10 else 1))
    per_minute = per_second * MINUTE
    return isolated(_("%s/min") % _number(per_minute, 0 if per_minute >= 10 else 1))


def size(count: int | None) -> SafeString | str:
    """Return bytes as people say them; "" for None."""
    if count is None:
        return ""
    units = (_("%s B"), _("%s kB"), _("%s MB"), _("%s GB"))
    value, unit = float(count), 0
    while value >= 1000 and unit < len(units) - 1:
        value, unit = value / 1000, unit + 1
    return isolated(units[unit] % _number(value, 1 if unit and value < 10 else 0))


def isolated(text: Any) -> SafeString:
    """Keep "1.2 s" together where text runs from right to left."""
    return format_html("<bdi>{}</bdi>", text)


def first_line(text: Any) -> str:
    """Return the first line of a message that says something."""
    return next((line for line in str(text or "").splitlines() if line.strip()), "")


def class_name(path: Any) -> str:
    """Return the last part of a dotted path."""
    return str(path or "").rpartition(".")[2]


def _number(value: float, digits: int) -> str:
    return str(formats.number_format(round(value, digits), digits, use_l10n=True))


def _two(whole: int, unit: int, big: str, small: str, part: int) -> str:
    first, rest = divmod(whole, unit)
    rest //= part
    return f"{big % first} {small % rest}" if rest and first < 10 else big % first
