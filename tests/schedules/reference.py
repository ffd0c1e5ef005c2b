"""When a crontab's line is due, minute by minute: slow, and without cronsim.

It walks through real time and looks at the clock on the wall. A line with a star for
its minutes or hours is due whenever the clock shows a time of it. Any other is due when
the clock first shows one, or has just passed over it.
"""

import calendar
from datetime import timedelta
from functools import lru_cache

MINUTE = timedelta(minutes=1)
BEFORE = timedelta(hours=5)  # no clock is set back by so much
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
MONTHS = tuple(map(str.lower, calendar.month_abbr[1:]))


class Line:
    def __init__(self, text):
        minute, hour, day, month, weekday = text.lower().split()
        self.is_fixed = not (minute.startswith("*") or hour.startswith("*"))
        self.both_days = day.startswith("*") or weekday.startswith("*")
        self.minutes = numbers(minute, 0, 59)
        self.hours = numbers(hour, 0, 23)
        self.months = numbers(month, 1, 12, MONTHS, first=1)
        self.day, self.weekday = day, weekday

    def matches(self, wall):
        if wall.minute not in self.minutes or wall.hour not in self.hours:
            return False
        if wall.month not in self.months:
            return False
        day, weekday = self.is_day(wall), self.is_weekday(wall)
        return day and weekday if self.both_days else day or weekday

    def is_day(self, wall):
        last = calendar.monthrange(wall.year, wall.month)[1]
        workdays = [d for d in range(1, last + 1) if wall.replace(day=d).weekday() < 5]
        special = {"l": last, "lw": workdays[-1]}
        return any(
            wall.day == special[term]
            if term in special
            else wall.day in numbers(term, 1, 31)
            for term in self.day.split(",")
        )

    def is_weekday(self, wall):
        number = wall.isoweekday() % 7
        last = calendar.monthrange(wall.year, wall.month)[1]
        for term in self.weekday.split(","):
            if "#" in term:
                name, nth = term.split("#")
                if number in weekdays(name) and (wall.day - 1) // 7 + 1 == int(nth):
                    return True
            elif term.endswith("l"):
                if number in weekdays(term[:-1]) and wall.day + 7 > last:
                    return True
            elif number in weekdays(term):
                return True
        return False


def weekdays(text):
    return {number % 7 for number in numbers(text, 0, 7, DAYS)}


def numbers(text, lowest, highest, names=(), first=0):
    def number(word):
        return names.index(word) + first if word in names else int(word)

    found = set()
    for term in text.split(","):
        stretch, _, step = term.partition("/")
        if stretch == "*":
            start, end = lowest, highest
        elif "-" in stretch:
            start, end = map(number, stretch.split("-"))
        else:
            start = number(stretch)
            end = highest if step else start
        found.update(range(start, end + 1, int(step or 1)))
    return found


def ticks(text, zone, start, end):
    """Return when the line is due after `start`, and until `end`, both in UTC."""
    line = Line(text)
    highest, found = None, []
    for moment, wall in walk(zone, start.replace(second=0, microsecond=0), end):
        shown = [wall]
        if line.is_fixed and highest is not None:
            passed = int((wall - highest) / MINUTE)
            shown = [highest + MINUTE * n for n in range(1, passed + 1)]
        if any(map(line.matches, shown)) and moment > start:
            found.append(moment)
        highest = wall if highest is None else max(highest, wall)
    return found


@lru_cache(maxsize=4)
def walk(zone, start, end):
    """Return each minute, from before the start, with what the clock shows then."""
    first = start - BEFORE
    minutes = (first + MINUTE * n for n in range(int((end - first) / MINUTE) + 1))
    return [(m, m.astimezone(zone).replace(tzinfo=None)) for m in minutes]
