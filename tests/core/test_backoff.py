import pytest

from dbqueue import Retry, backoff


def delay(given, *, failures=1, exception=None, result=None):
    return backoff.delay(
        given, failures=failures, exception=exception or ValueError(), result=result
    )


def test_exponential_delays_grow_up_to_the_cap():
    delays = [backoff.exponential(n, jitter=0) for n in range(1, 9)]

    assert delays == [5, 15, 45, 135, 405, 1215, 3600, 3600]


def test_jitter_spreads_the_delay_both_ways():
    delays = [backoff.exponential(2) for _ in range(500)]

    assert 15 * 0.75 <= min(delays) < 15 < max(delays) <= 15 * 1.25


def test_very_many_failures_do_not_overflow():
    assert backoff.exponential(1_000_000, jitter=0) == 3600


def test_no_backoff_is_the_exponential_one():
    assert 5 * 0.75 <= delay(None) <= 5 * 1.25


def test_a_number_is_the_delay_after_each_failure():
    assert [delay(7, failures=n) for n in (1, 2, 9)] == [7, 7, 7]


def test_the_last_value_of_a_sequence_repeats():
    assert [delay((1, 5, 25), failures=n) for n in (1, 2, 3, 4)] == [1, 5, 25, 25]


def test_a_function_is_given_the_exception_and_the_result():
    seen = []

    def note(exception, result):
        seen.append((exception, result))
        return 3

    error = KeyError("x")

    assert delay(note, exception=error, result="the result") == 3
    assert seen == [(error, "the result")]


def test_a_function_may_give_up():
    assert delay(lambda exception, result: None) is None


@pytest.mark.parametrize("seconds", [-1, -0.5])
def test_a_function_cannot_ask_for_the_past(seconds):
    assert delay(lambda exception, result: seconds) == 0


@pytest.mark.parametrize("seconds", [1e12, 1e300, float("inf")])
def test_no_delay_is_longer_than_ten_years(seconds):
    ten_years = 10 * 365 * 86_400

    assert delay(seconds) == delay([seconds]) == ten_years
    assert delay(lambda exception, result: seconds) == ten_years
    assert Retry(after=seconds).after == ten_years


def test_a_delay_must_be_a_number():
    with pytest.raises(ValueError, match="not NaN"):
        Retry(after=float("nan"))
