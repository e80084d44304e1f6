from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from component.rules import hours

OFFICE = "Mon-Fri 09:00-17:00 Europe/Berlin; Sat 10:00-14:00 Europe/Berlin"
NIGHT = "Fri 22:00-06:00 Europe/Berlin"


def at(text: str, zone: str = "Europe/Berlin", fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp()


@pytest.mark.parametrize(
    ("text", "instant", "covered"),
    [
        # 2025-11-24 is a Monday.
        (OFFICE, at("2025-11-24T08:59:59"), False),
        (OFFICE, at("2025-11-24T09:00"), True),
        (OFFICE, at("2025-11-24T16:59:59"), True),
        (OFFICE, at("2025-11-24T17:00"), False),
        (OFFICE, at("2025-11-29T13:59"), True),
        (OFFICE, at("2025-11-29T16:00"), False),
        (OFFICE, at("2025-11-30T12:00"), False),
        (OFFICE, at("2025-11-24T03:00", "America/New_York"), True),
        (OFFICE, at("2025-11-24T09:00", "America/New_York"), True),
        (OFFICE, at("2025-11-24T11:00", "America/New_York"), False),
        (NIGHT, at("2025-11-28T21:59"), False),
        (NIGHT, at("2025-11-28T22:00"), True),
        (NIGHT, at("2025-11-29T00:00"), True),
        (NIGHT, at("2025-11-29T05:59"), True),
        (NIGHT, at("2025-11-29T06:00"), False),
        (NIGHT, at("2025-11-28T05:00"), False),
        ("Sun 23:00-01:00 UTC", at("2025-12-01T00:30", "UTC"), True),
        ("Mon 00:00-24:00 UTC", at("2025-11-24T23:59:59", "UTC"), True),
        ("Mon 00:00-24:00 UTC", at("2025-11-25T00:00", "UTC"), False),
        ("Mon 22:00-00:00 UTC", at("2025-11-24T23:59", "UTC"), True),
        ("Mon 22:00-00:00 UTC", at("2025-11-25T00:00", "UTC"), False),
        ("Sat-Mon 09:00-10:00 UTC", at("2025-11-24T09:30", "UTC"), True),
        ("Sat-Mon 09:00-10:00 UTC", at("2025-11-25T09:30", "UTC"), False),
        ("mon,WED 9:00-10:00 UTC;", at("2025-11-26T09:30", "UTC"), True),
        # Berlin's clocks go from 02:00 to 03:00 on 2025-03-30 and from 03:00 back to 02:00 on 2025-10-26, both Sundays.
        ("Sun 01:00-04:00 Europe/Berlin", at("2025-03-30T00:30", "UTC"), True),
        ("Sun 01:00-04:00 Europe/Berlin", at("2025-03-30T01:30", "UTC"), True),
        ("Sun 01:00-04:00 Europe/Berlin", at("2025-03-30T02:00", "UTC"), False),
        ("Sun 02:00-03:00 Europe/Berlin", at("2025-03-30T01:00", "UTC"), False),
        ("Sun 02:30-04:00 Europe/Berlin", at("2025-03-30T01:00", "UTC"), True),
        ("Sun 02:00-03:00 Europe/Berlin", at("2025-10-26T02:30", fold=0), True),
        ("Sun 02:00-03:00 Europe/Berlin", at("2025-10-26T02:30", fold=1), True),
        ("Sun 02:00-03:00 Europe/Berlin", at("2025-10-26T03:00"), False),
        ("Sat 22:00-06:00 Europe/Berlin", at("2025-10-26T05:59"), True),
        ("Sat 22:00-06:00 Europe/Berlin", at("2025-10-26T06:00"), False),
        ("Mon-Fri 09:00-17:00 Asia/Kathmandu", at("2025-11-24T03:15", "UTC"), True),
        ("Mon-Fri 09:00-17:00 Asia/Kathmandu", at("2025-11-24T03:14", "UTC"), False),
    ],
)
def test_hours_cover_what_a_wall_clock_in_their_zone_shows(text: str, instant: float, covered: bool) -> None:
    assert hours.covers(hours.parse(text), instant) is covered


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "write them like"),
        ("Mon-Fri 09:00-17:00", "write them like"),
        ("09:00-17:00 UTC", "write them like"),
        ("Mon 9-17 UTC", "write them like"),
        (f"{OFFICE};;", "write them like"),
        ("Mon-Fry 09:00-17:00 UTC", "'Fry' is no day"),
        ("Mon, 09:00-17:00 UTC", "'' is no day"),
        ("Mon-Wed-Fri 09:00-17:00 UTC", "'Wed-Fri' is no day"),
        ("Mon 09:60-17:00 UTC", "no time of day"),
        ("Mon 09:00-24:01 UTC", "no time of day"),
        ("Mon 24:00-08:00 UTC", "only end"),
        ("Mon 09:00-09:00 UTC", "whole day"),
        ("Mon 09:00-17:00 Europe/Berlinn", "no time zone"),
        ("Mon 09:00-17:00 ../etc/passwd", "no time zone"),
        ("Mon 09:00-17:00 Europe", "no time zone"),
        ("Mon 09:00-17:00 localtime", "no time zone"),
    ],
)
def test_hours_that_cannot_be_read_are_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        hours.parse(text)


INSTANTS = some.floats(min_value=0, max_value=4e9)
ZONES = some.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"])
TIMES = some.builds("{:02}:{:02}".format, some.integers(0, 23), some.integers(0, 59))


@given(TIMES, TIMES, ZONES, INSTANTS)
def test_a_span_and_the_rest_of_each_day_cover_every_instant_once(start: str, end: str, zone: str, instant: float) -> None:
    if start == end:
        return
    there = hours.parse(f"Mon-Sun {start}-{end} {zone}")
    rest = hours.parse(f"Mon-Sun {end}-{start} {zone}")
    assert hours.covers(there, instant) != hours.covers(rest, instant)


@given(ZONES, INSTANTS)
def test_each_instant_is_on_one_day_of_the_week(zone: str, instant: float) -> None:
    days = [
        day for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun") if hours.covers(hours.parse(f"{day} 00:00-24:00 {zone}"), instant)
    ]
    assert days == [datetime.fromtimestamp(instant, UTC).astimezone(ZoneInfo(zone)).strftime("%a")]


@pytest.mark.parametrize("text", [OFFICE, NIGHT, "Mon 00:00-24:00 UTC", "Mon 22:00-00:00 UTC", "mon,WED 9:00-10:00 UTC;"])
def test_hours_are_written_as_they_are_read(text: str) -> None:
    assert hours.parse(hours.written(hours.parse(text))) == hours.parse(text)


@pytest.mark.parametrize(
    ("days", "written"),
    [
        ("Fri,Mon-Thu", "Mon-Fri"),
        ("Mon,Tue", "Mon,Tue"),
        ("Sat-Mon,Wed", "Mon,Wed,Sat,Sun"),
        ("Mon-Sun", "Mon-Sun"),
        ("Tue,Thu-Sat", "Tue,Thu-Sat"),
    ],
)
def test_days_are_written_as_people_write_them(days: str, written: str) -> None:
    assert hours.written(hours.parse(f"{days} 09:00-17:00 UTC")) == f"{written} 09:00-17:00 UTC"
