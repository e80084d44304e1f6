"""Working hours: `Mon-Fri 09:00-17:00 Europe/Berlin; Sat 22:00-02:00 Europe/Berlin` (spec/00-overview.md, Configuration).

A span holds while a wall clock in its time zone shows a time within it, whatever the server's own zone, also on the day of a clock change.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SPAN = re.compile(r"(?P<days>[A-Za-z,-]+)\s+(?P<start>[0-9]{1,2}:[0-9]{2})\s*-\s*(?P<end>[0-9]{1,2}:[0-9]{2})\s+(?P<zone>\S+)")
_MIDNIGHT = 24 * 60


@dataclass(frozen=True, slots=True)
class Span:
    """A time of day on some days of the week; one whose `end` is not after its `start` ends on the day after."""

    days: frozenset[int]
    """The days on which it begins: 0 is Monday."""
    start: int
    """Minutes since midnight by the zone's wall clock, 0 to 1,439."""
    end: int
    """Likewise, 1 to 1,440; not included."""
    zone: ZoneInfo

    def covers(self, at: float) -> bool:
        wall = datetime.fromtimestamp(at, self.zone)
        minute, today = wall.hour * 60 + wall.minute, wall.weekday()
        if self.start < self.end:
            return today in self.days and self.start <= minute < self.end
        return (today in self.days and minute >= self.start) or ((today - 1) % 7 in self.days and minute < self.end)


Hours = tuple[Span, ...]


def parse(text: str) -> Hours:
    """The spans of `DAYS HH:MM-HH:MM ZONE`, joined by semicolons; DAYS like `Mon`, `Mon-Fri`, `Sat-Mon` or `Mon,Wed,Fri`.

    Raises ValueError with the reason; also for no span at all.
    """
    return tuple(_span(part.strip()) for part in text.removesuffix(";").split(";"))


def covers(hours: Hours, at: float) -> bool:
    """Whether the instant `at` (UNIX seconds) lies in one of the spans."""
    return any(span.covers(at) for span in hours)


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} are no hours: write them like 'Mon-Fri 09:00-17:00 Europe/Berlin'")
    start, end = _minutes(match["start"]), _minutes(match["end"])
    if start == _MIDNIGHT:
        raise ValueError(f"{match['start']} can only end hours: begin them at 00:00")
    if start == end:
        raise ValueError(f"{text!r} begins and ends at once: a whole day is 00:00-24:00")
    return Span(_days(match["days"]), start, end or _MIDNIGHT, _zone(match["zone"]))


def _days(text: str) -> frozenset[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        begin, end = _day(first), _day(last if dash else first)
        days.update((begin + more) % 7 for more in range((end - begin) % 7 + 1))
    return frozenset(days)


def _day(text: str) -> int:
    name = text.capitalize()
    if name not in _DAYS:
        raise ValueError(f"{text!r} is no day: the days are {', '.join(_DAYS)}")
    return _DAYS.index(name)


def _minutes(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    if minute > 59 or hour * 60 + minute > _MIDNIGHT:
        raise ValueError(f"{text!r} is no time of day: 00:00 to 24:00")
    return hour * 60 + minute


def _zone(name: str) -> ZoneInfo:
    # `localtime`, which Debian keeps beside the zones, would be the server's own.
    if name != "localtime":
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise ValueError(f"{name!r} is no time zone: it needs a name like 'Europe/Berlin'")


def written(hours: Hours) -> str:
    """The hours as `parse` reads them."""
    return "; ".join(f"{_written_days(span.days)} {_clock(span.start)}-{_clock(span.end)} {span.zone.key}" for span in hours)


def _written_days(days: frozenset[int]) -> str:
    written: list[str] = []
    for first in sorted(day for day in days if day - 1 not in days):
        last = next(day for day in range(first, 7) if day + 1 not in days)
        written += [f"{_DAYS[first]}-{_DAYS[last]}"] if last > first + 1 else [_DAYS[day] for day in range(first, last + 1)]
    return ",".join(written)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
