"""How far two places on Earth lie apart (for `nearest`, spec/20-virtual.md)."""

from dataclasses import dataclass, field
from math import atan, atan2, cos, hypot, pi, radians, sin, sqrt, tan

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
    mean, half, turn = (first + second) / 2, (second - first) / 2, radians(there.lon - here.lon) / 2
    both = sqrt(max(0.0, cos(first) * cos(second)))
    # Sine and cosine of half the angle, each as a sum: a difference would leave nothing but rounding near the antipode.
    near, far = hypot(sin(half), both * sin(turn)), hypot(sin(mean), both * cos(turn))
    angle = 2 * atan2(near, far)
    if angle < _MICROMETRES:
        return _RADIUS * angle
    across = (angle - sin(angle)) * (sin(mean) / far * cos(half)) ** 2 if far > 0 else pi / 2
    along = (angle + sin(angle)) * (cos(mean) * sin(half) / near) ** 2
    return _RADIUS * (angle - _FLATTENING / 2 * (across + along))
