"""Distances on Earth: close to the geodesic, and the rough ones never hide the nearest."""

import pytest
from geographiclib.geodesic import Geodesic
from hypothesis import example, given
from hypothesis import strategies as st

from component.rules.distance import WITHIN, Place, chord, distance

places = st.builds(Place, st.floats(-90, 90), st.floats(-180, 180))


def geodesic(here: Place, there: Place) -> float:
    return float(Geodesic.WGS84.Inverse(here.lat, here.lon, there.lat, there.lon)["s12"])


@given(places, places)
def test_distance_is_within_half_a_percent_of_the_geodesic(here: Place, there: Place) -> None:
    assert distance(here, there) == pytest.approx(geodesic(here, there), rel=0.005, abs=0.01)


@given(places, st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_so_it_is_across_a_town(here: Place, north: float, east: float) -> None:
    there = Place(max(-90.0, min(90.0, here.lat + north)), here.lon + east)
    assert distance(here, there) == pytest.approx(geodesic(here, there), rel=0.005, abs=0.01)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        (Place(0, 0), Place(0, 180)),
        (Place(0, 0), Place(1e-12, 180)),
        (Place(0, 0), Place(1e-5, 180 - 1e-7)),
        (Place(90, 0), Place(-90, 0)),
        (Place(45, 10), Place(-45, -170)),
        (Place(45, 10), Place(-45 + 1e-12, -170 - 1e-12)),
        (Place(90, 0), Place(90, 77)),
        (Place(10, 179.999), Place(10, -179.999)),
        (Place(52.52, 13.4), Place(48.137, 11.575)),
    ],
)
def test_poles_antipodes_and_the_date_line_are_places_like_others(here: Place, there: Place) -> None:
    assert distance(here, there) == pytest.approx(geodesic(here, there), rel=0.005, abs=0.01)


@given(places, places)
def test_it_is_as_far_there_as_back(here: Place, there: Place) -> None:
    assert distance(here, there) == pytest.approx(distance(there, here), rel=1e-9, abs=1e-6)


@given(places, st.floats(-1e-3, 1e-3), st.floats(-1e-3, 1e-3))
def test_so_it_is_around_the_antipode(here: Place, north: float, east: float) -> None:
    there = Place(max(-90.0, min(90.0, north - here.lat)), here.lon + 180 + east)
    assert distance(here, there) == pytest.approx(geodesic(here, there), rel=0.005)


@given(places, st.lists(places, min_size=1, max_size=30))
@example(Place(0, 0), [Place(0, 0), Place(1e-12, 180)])
def test_whoever_is_nearest_is_roughly_near(here: Place, others: list[Place]) -> None:
    close = min(chord(here, place) for place in others) * WITHIN
    nearest = min(others, key=lambda place: distance(here, place))
    assert chord(here, nearest) <= close + 1e-18
