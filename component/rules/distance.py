"""How far two places on Earth lie apart (for `nearest`, spec/20-virtual.md)."""

from dataclasses import dataclass, field
from math import asin, atan, cos, hypot, pi, radians, sin, sqrt, tan

_RADIUS = 6_378_137.0
"""The equator's, in metres (WGS 84)."""
_FLATTENING = 1 / 298.257_223_563

_MICROMETRES = 1e-12
"""Radians."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place by its WGS 84 coordinates (XEP-0080): degrees, -90 to 90 north and -180 to 180 east."""

    lat: float
    lon: float
    _at: tuple[float, float, float] = field(init=False, compare=False, repr=False)
    """On the unit sphere."""

    def __post_init__(self) -> None:
        north, east = radians(self.lat), radians(self.lon)
        object.__setattr__(self, "_at", (cos(north) * cos(east), cos(north) * sin(east), sin(north)))


WITHIN = 1.03
"""The place with the least `distance` has a `chord` of at most this times the least one: the Earth is a sphere to 0.6 %, squared."""


def chord(here: Place, there: Place) -> float:
    """The square of the straight line between two places on a unit sphere: ten times faster than `distance`, to leave out what is far."""
    (x, y, z), (u, v, w) = here._at, there._at
    return (x - u) ** 2 + (y - v) ** 2 + (z - w) ** 2


def distance(here: Place, there: Place) -> float:
    """Metres along the ellipsoid, within 0.5 % of the geodesic: Lambert's formula.

    On a sphere the great circle would be wrong by up to 0.6 %, enough to send a customer to the wrong town.
    """
    first, second = (atan((1 - _FLATTENING) * tan(radians(place.lat))) for place in (here, there))
    mean, half = (first + second) / 2, (second - first) / 2
    turn = sin(radians(there.lon - here.lon) / 2)
    haversine = hypot(sin(half), sqrt(max(0.0, cos(first) * cos(second))) * turn)
    angle = 2 * asin(min(1.0, haversine))
    if angle < _MICROMETRES:
        return _RADIUS * angle
    near, far = sin(angle / 2) ** 2, cos(angle / 2) ** 2
    # Both quotients stay below 1; at the antipode itself the first would be 0/0.
    across = (angle - sin(angle)) * sin(mean) ** 2 * cos(half) ** 2 / far if far > 0 else pi / 2
    along = (angle + sin(angle)) * cos(mean) ** 2 * sin(half) ** 2 / near
    return _RADIUS * (angle - _FLATTENING / 2 * (across + along))
