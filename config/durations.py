"""Durations as people write them: `30m`, `1h30m`, `50ms` (spec/00-overview.md, Configuration)."""

import re

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)"
_DURATION = re.compile(r"\s*".join(f"(?:{_NUMBER}{unit}(?![a-z]))?" for unit in _UNITS))


def parse(text: str) -> float:
    """Seconds of a duration: numbers with the units d, h, m, s and ms, each at most once and in this order.

    Raises ValueError with the reason.
    """
    typed = text.strip()
    match = _DURATION.fullmatch(typed)
    if not typed or match is None:
        raise ValueError(f"{typed!r} is no duration: write it like '30m', '1h30m', '2s' or '1d'")
    return sum(float(number) * unit for number, unit in zip(match.groups(), _UNITS.values(), strict=True) if number) / 1_000


def format(seconds: float) -> str:  # noqa: A001 - read as durations.format
    """A short such text for seconds ≥ 0, to the millisecond; in hours below two days (`24h`), `0s` for none. Raises ValueError for less."""
    rest = round(seconds * 1_000)
    if rest < 0:
        raise ValueError("a duration can't be negative")
    parts = []
    for unit, size in _UNITS.items():
        if unit == "d" and rest < 2 * size:
            continue
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
