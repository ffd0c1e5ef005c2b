"""When Cron, Every and At are due, against a reference that knows no cronsim."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbqueue import At, Cron, Every
from dbqueue.exceptions import InvalidSchedule
from dbqueue.schedules.times.cadence import read
from dbqueue.schedules.times.plan import latest
from tests.schedules import reference
from tests.support.processes import SCALE

BERLIN = "Europe/Berlin"
# A day in which the clock is changed, forward and back, where it is.
CHANGES = [
    (BERLIN, "2026-03-29"),
    (BERLIN, "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),  # by 30 minutes
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Asia/Kathmandu", "1986-01-01"),  # by 15 minutes, for good
    ("Africa/Casablanca", "2026-02-15"),  # for Ramadan
    ("Africa/Casablanca", "2026-03-22"),
    ("America/Santiago", "2026-04-05"),  # at midnight
    ("America/Santiago", "2026-09-06"),
    ("Pacific/Apia", "2011-12-30"),  # a day that there was not
]
LINES = [
    *("30 2 * * *", "0 2 * * *", "45 1 * * *", "0 0 * * *", "15 1-3 * * *"),
    *("0,20,40 0,1,2,3 * * *", "*/15 * * * *", "*/10 2 * * *", "*/20 1-3 * * *"),
    *("0 * * * *", "50 * * * *", "0 */2 * * *", "* 2 * * *", "5 2 * * sun"),
]


def moment(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def after(cadence, start, end):
    found, tick = [], cadence.after(start)
    while tick is not None and tick <= end:
        found.append(tick)
        tick = cadence.after(tick)
    return found


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_a_line_is_due_as_the_clock_on_the_wall_says_where_it_is_changed(zone, day):
    start = moment(day) - timedelta(hours=30)
    end = start + timedelta(hours=72)

    for line in LINES:
        found = after(Cron(line, timezone=zone), start, end)

        assert found == reference.ticks(line, ZoneInfo(zone), start, end), line


@pytest.mark.parametrize(("zone", "day"), CHANGES)
def test_a_line_goes_on_alike_from_wherever_it_is_asked(zone, day):
    start = moment(day) - timedelta(hours=15)
    for line in ("30 2 * * *", "*/20 1-3 * * *", "*/30 * * * *"):
        cron = Cron(line, timezone=zone)
        ticks = after(cron, start, start + timedelta(hours=72))

        for minutes in range(0, 60 * 40, 20):
            asked = start + timedelta(minutes=minutes, seconds=31, microseconds=5)

            assert cron.after(asked) == next(t for t in ticks if t > asked), line


def test_a_daily_time_is_due_once_in_each_night_of_a_change():
    cron = Cron("30 2 * * *", timezone=BERLIN)

    def nights(day):
        return [
            tick.astimezone(ZoneInfo(BERLIN)).isoformat()
            for tick in after(cron, moment(day), moment(day) + timedelta(days=2))
        ]

    assert nights("2026-03-28") == [
        "2026-03-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
    ]
    assert nights("2026-10-24") == [
        "2026-10-24T02:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
    ]


def test_six_fields_are_no_different_in_the_night_of_a_change():
    five, six = (
        Cron(f"{seconds}30 2 * * *", timezone=BERLIN) for seconds in ("", "0 ")
    )

    for day in ("2026-03-28", "2026-10-24"):
        end = moment(day) + timedelta(days=3)
        assert after(five, moment(day), end) == after(six, moment(day), end)


def test_seconds_come_first_of_six_fields():
    cron = Cron("*/20 59 23 31 12 *", timezone="UTC")

    ticks = after(cron, moment("2026-01-01"), moment("2027-06-01"))

    assert [str(tick)[:19] for tick in ticks] == [
        "2026-12-31 23:59:00",
        "2026-12-31 23:59:20",
        "2026-12-31 23:59:40",
    ]


def test_leap_days_and_the_ends_of_months():
    def days(line, years=1):
        start = moment("2027-01-01") - timedelta(seconds=1)
        found = after(
            Cron(line, timezone="UTC"), start, start + timedelta(days=366 * years)
        )
        return [f"{tick:%Y-%m-%d}" for tick in found]

    assert days("0 0 29 2 *", years=8) == ["2028-02-29", "2032-02-29"]
    assert days("0 0 L 2 *", years=2) == ["2027-02-28", "2028-02-29"]
    assert days("0 0 31 * *") == [
        f"2027-{month:02}-31" for month in (1, 3, 5, 7, 8, 10, 12)
    ]
    assert days("0 0 LW 1-3 *") == ["2027-01-29", "2027-02-26", "2027-03-31"]
    assert days("0 0 * 1,2 mon#1") == ["2027-01-04", "2027-02-01"]


@pytest.mark.parametrize(
    ("macro", "line"),
    [
        ("0-0/1 5-5/2 * * mon-mon/3", "0 5 * * mon"),
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * sun"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ],
)
def test_a_macro_is_a_line(macro, line):
    start = moment("2026-05-05")

    cadences = [Cron(words, timezone="UTC") for words in (macro, line)]

    assert len({c.after(start) for c in cadences}) == 1


STARS = st.one_of(
    st.just("*"), st.integers(1, 40).map(lambda n: f"*/{n}"), st.just("*")
)


def test_both_days_may_be_wanted():
    line = Cron("0 8 13 * fri", timezone="UTC", both_days=True)
    start, found = moment("2026-01-01T00:00Z"), []
    while len(found) < 3:
        start = line.after(start)
        found.append(f"{start:%Y-%m-%d}")

    assert found == ["2026-02-13", "2026-03-13", "2026-11-13"]
    assert read(line.as_json()) == line
    assert line.words().endswith(" and on Friday, where both days match")
    assert Cron("0 8 * * fri", both_days=True).words() == "At 08:00 on Friday"
    with pytest.raises(InvalidSchedule, match="no time matches"):
        Cron("0 8 30 2 fri", both_days=True)
    with pytest.raises(InvalidSchedule, match="True or False"):
        Cron("0 8 30 2 fri", both_days="yes")


def test_a_stretch_of_one_with_a_step_is_that_one_alone():
    assert Cron("7-7/3 5-5/2 * * *").after(moment("2026-01-01")) == Cron(
        "7 5 * * *"
    ).after(moment("2026-01-01"))


def field(lowest, highest):
    number = st.integers(lowest, highest)
    stretch = st.tuples(number, number).map(lambda two: "{}-{}".format(*sorted(two)))
    stepped = st.tuples(stretch, st.integers(1, 9)).map(
        lambda two: "{}/{}".format(*two)
    )
    term = st.one_of(number.map(str), stretch, stepped)
    terms = st.lists(term, min_size=1, max_size=3).map(",".join)
    return st.one_of(STARS, terms, terms)


SPECIAL_DAYS = st.sampled_from(["L", "LW", "*"])
SPECIAL_WEEKDAYS = st.sampled_from(["mon#1", "fri#5", "3L", "sun", "mon-fri", "7", "*"])
CRONS = st.tuples(
    field(0, 59),
    field(0, 23),
    st.one_of(st.just("*"), field(1, 31), SPECIAL_DAYS),
    st.one_of(st.just("*"), st.just("*"), field(1, 12)),
    st.one_of(st.just("*"), field(0, 7), SPECIAL_WEEKDAYS),
).map(" ".join)


@settings(max_examples=int(25 * SCALE), deadline=None)
@given(
    line=CRONS,
    change=st.sampled_from(CHANGES),
    hours=st.integers(0, 30),
    seconds=st.integers(0, 3599),
)
def test_any_line_is_due_when_the_reference_says(line, change, hours, seconds):
    zone, day = change
    start = moment(day) - timedelta(hours=hours, seconds=seconds)
    end = start + timedelta(hours=40)
    try:
        cron = Cron(line, timezone=zone)
    except InvalidSchedule:
        return  # no day has it

    assert after(cron, start, end) == reference.ticks(line, ZoneInfo(zone), start, end)


def first_change(zone, start):
    """Return a day before the clock is changed; None if it is not, for long."""
    for days in range(300):
        moment = start + timedelta(days=days)
        offsets = [(moment + timedelta(days=n)).astimezone(zone) for n in (0, 1)]
        before, behind = (local.utcoffset() for local in offsets)
        if before != behind:
            in_minutes = not (before.seconds % 60 or behind.seconds % 60)
            return moment if in_minutes else None
    return None


@settings(max_examples=int(15 * SCALE), deadline=None)
@given(
    line=CRONS,
    name=st.sampled_from(sorted(available_timezones())),
    day=st.integers(0, 65 * 365),
)
def test_the_clock_of_any_zone_is_followed_when_it_is_changed(line, name, day):
    zone = ZoneInfo(name)
    start = first_change(zone, moment("1975-01-01") + timedelta(days=day))
    try:
        cron = Cron(line, timezone=name)
    except InvalidSchedule:
        start = None  # no day has it
    if start is None:
        return
    end = start + timedelta(hours=36)

    assert after(cron, start, end) == reference.ticks(line, zone, start, end)


@given(
    every=st.integers(1, 10**7),
    share=st.floats(0, 0.999),
    seconds=st.floats(0, 4e9),
)
def test_an_interval_keeps_its_length(every, share, seconds):
    cadence = Every(timedelta(seconds=every), offset=int(every * share))
    start = datetime.fromtimestamp(seconds, UTC)

    first = cadence.after(start)
    second = cadence.after(first)

    assert timedelta() < first - start <= timedelta(seconds=every)
    assert second - first == timedelta(seconds=every)
    assert (first.timestamp() - int(every * share)) % every == 0


def test_an_interval_knows_no_change_of_a_clock():
    cadence = Every(timedelta(hours=6), offset=timedelta(hours=1))

    ticks = after(cadence, moment("2026-10-24"), moment("2026-10-26"))

    assert [tick.hour for tick in ticks] == [1, 7, 13, 19] * 2


def test_moments_are_due_once_each_in_their_order():
    one, two = moment("2026-05-05"), moment("2026-05-06")

    assert after(At(two, one, two), moment("2026-01-01"), moment("2027-01-01")) == [
        one,
        two,
    ]
    assert At(one).after(one) is None


@given(
    cadence=st.sampled_from(
        [Every(1), Every(90), Cron("* * * * *"), Cron("7 3 * * mon", timezone=BERLIN)]
    ),
    seconds=st.integers(0, 4000),
    count=st.integers(1, 20),
)
def test_the_latest_ticks_are_found_from_their_end(cadence, seconds, count):
    end = moment("2026-10-25") + timedelta(seconds=seconds)
    start = end - timedelta(seconds=seconds**2 // 1000)

    assert latest(cadence, start, end, count) == after(cadence, start, end)[-count:]


def test_what_was_missed_for_years_is_found_at_once():
    end = moment("2026-10-25")
    start = end - timedelta(days=3650)

    assert latest(Every(1), start, end, 1) == [end]
    assert len(latest(Cron("* * * * *"), start, end, 1000)) == 1000
    assert latest(Cron("0 0 29 2 *", timezone="UTC"), start, end, 1) == [
        moment("2024-02-29")
    ]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Cron("0 0 31 4 *"), "Bad day-of-month"),
        (lambda: Cron("0 0 30 2 *"), "Bad day-of-month"),
        (lambda: Cron("* * */20 * 1L"), "no time matches"),
        (lambda: Cron("61 * * * *"), "Bad minute"),
        (lambda: Cron("* * * *"), "five fields"),
        (lambda: Cron(""), "five fields"),
        (lambda: Cron(None), "a line is text"),
        (lambda: Cron(5), "a line is text"),
        (lambda: Cron("*/0 * * * *"), "Bad minute"),
        (lambda: Cron("LW/2 * * * *"), "Bad minute"),
        (lambda: Cron("* * * * 1L/2"), "Bad day-of-week"),
        (lambda: Cron("9" * 5000 + " * * * *"), "More than 200"),
        (lambda: Cron("²L * * * ²L"), "Bad"),
        (lambda: Cron("@fortnightly"), "@daily"),
        (lambda: Cron("@reboot"), "worker_ready"),
        (lambda: Cron("* * * * *", timezone="Europe/Berln"), "Europe/Berlin"),
        (lambda: Cron("* * * * *", timezone="Europe"), "no time zone 'Europe'"),
        (lambda: Cron("* * * * *", timezone="../etc/passwd"), "no time zone"),
        (lambda: Cron("* * * * *", timezone=3), "no time zone 3"),
        (lambda: Every(0), "a second or longer"),
        (lambda: Every(timedelta(milliseconds=10)), "a second or longer"),
        (lambda: Every(-5), "a second or longer"),
        (lambda: Every(float("nan")), "'nan'"),
        (lambda: Every(1e300), "ten years"),
        (lambda: Every(True), "True"),
        (lambda: Every("6h"), "'6h'"),
        (lambda: Every(60, offset=60), "less than the interval"),
        (lambda: Every(60, offset=-1), "0 or more"),
        (lambda: At(), "needs a moment"),
        (lambda: At(datetime(2026, 5, 5)), "an aware datetime"),
        (lambda: At("2026-05-05"), "an aware datetime"),
    ],
)
def test_times_that_cannot_be_are_refused(make, words):
    with pytest.raises(InvalidSchedule) as caught:
        make()

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("cadence", "words"),
    [
        (Cron("0 8 * * mon-fri"), "At 08:00 on weekdays"),
        (Cron("@daily"), "At 00:00 every day"),
        (Cron("@hourly"), "Every hour"),
        (Cron("@yearly"), "At 00:00 on January 1"),
        (Cron("0 9,18 * * sat,7"), "At 09:00 and 18:00 on Saturday and Sunday"),
        (Cron("*/5 * * * *"), "Every 5 minutes"),
        (
            Cron("*/5 9-17 * * mon-fri"),
            "Every 5 minutes from 09:00 to 17:59 on weekdays",
        ),
        (Cron("* 9,15 * * *"), "Every minute of hour 9 and 15"),
        (Cron("*/25 * * * *"), "At minute 0, 25 and 50 of every hour"),
        (Cron("1-59/2 8 * * *"), "At minute 1, 3, …, 59 of hour 8"),
        (Cron("0 */4 * * *"), "Every 4 hours"),
        (Cron("0 0-4 * * *"), "At minute 0 of hour 0 to 4"),
        (Cron("* * * * * *"), "Every second"),
        (Cron("5 * * * * *"), "At second 5 of every minute"),
        (Cron("5,7 * 4 * * *"), "At second 5 and 7 of minute 0 to 59 of hour 4"),
        (Cron("5 0 12 * * *"), "At 12:00:05 every day"),
        (Cron("0 0 1,15 * *"), "At 00:00 on day 1 and 15 of the month"),
        (
            Cron("0 0 L */6 *"),
            "At 00:00 on the last day of the month in January and July",
        ),
        (Cron("0 0 LW * *"), "At 00:00 on the last weekday of the month"),
        (
            Cron("0 9 * * 1#2,5L"),
            "At 09:00 on the second Monday of the month "
            "and the last Friday of the month",
        ),
        (Cron("0 0 * 1 *"), "At 00:00 every day in January"),
        # Either of both is enough, and each day is one of the month.
        (Cron("0 8 1-31 * fri"), "At 08:00 every day"),
        (Cron("0 8 13 * fri"), "At 08:00 on day 13 of the month and on Friday"),
        (
            Cron("0 8 */16 * fri"),
            "At 08:00 on day 1 and 17 of the month and on Friday, "
            "where both days match",
        ),
        (Every(3600), "Every hour"),
        (Every(timedelta(days=14)), "Every 2 weeks"),
        (Every(5400, offset=60), "Every 90 minutes, 1 minute later"),
        (Every(1.5), "Every 1.5 seconds"),
        (At(datetime(2026, 5, 5, tzinfo=UTC)), "Once, at 2026-05-05 00:00:00 UTC"),
        (
            At(datetime(2026, 5, 5, tzinfo=UTC), datetime(2026, 5, 6, tzinfo=UTC)),
            "At 2026-05-05 00:00:00 UTC and 1 more",
        ),
    ],
)
def test_times_are_said_in_plain_words(cadence, words):
    assert cadence.words() == words
