import pytest
from hypothesis import given
from hypothesis import strategies as some

from config import durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1_800.0),
        ("2s", 2.0),
        ("1d", 86_400.0),
        ("24h", 86_400.0),
        ("30d", 2_592_000.0),
        ("50ms", 0.05),
        ("1h30m", 5_400.0),
        ("1h 30m", 5_400.0),
        (" 1.5h ", 5_400.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("0s", 0.0),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    assert durations.parse(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "m", "30x", "30M", "-5s", "1m1h", "5m5m", "1,5h", "1e3s", "٣s", "5 m", "9999999999d", "inf", "2s\0"]
)
def test_anything_else_is_refused_with_a_reason_that_quotes_it(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration") as refused:
        durations.parse(text)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1_800, "30m"),
        (90, "1m30s"),
        (86_400, "24h"),
        (100_000, "27h46m40s"),
        (172_800, "2d"),
        (180_000, "2d2h"),
        (0.05, "50ms"),
        (0, "0s"),
        (1.5, "1s500ms"),
        (2_592_000, "30d"),
    ],
)
def test_a_duration_is_shown_as_people_write_it(seconds: float, text: str) -> None:
    assert durations.format(seconds) == text


@given(some.integers(min_value=0, max_value=10**12))
def test_what_is_shown_is_read_back_to_the_millisecond(milliseconds: int) -> None:
    assert round(durations.parse(durations.format(milliseconds / 1_000)) * 1_000) == milliseconds


def test_no_time_is_negative() -> None:
    with pytest.raises(ValueError, match="negative"):
        durations.format(-1)
