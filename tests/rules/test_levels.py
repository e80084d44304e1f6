import math
import random
from collections import defaultdict
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules.levels import NO_LABELS, UNIT, Balance, Labels, Scale, balanced, closeness, level, level_of, score_at, weight

DAY = 86_400.0
HALF_LIFE = 30 * DAY
NOW = 1_764_040_000.0
THRESHOLDS = (20.0, 10.0, 5.0, 1.0)
SCALE = Scale(HALF_LIFE, THRESHOLDS)

ages = st.floats(0.0, 400 * DAY)
half_lives = st.floats(1.0, 400 * DAY)
scores = st.floats(0.0, 1000.0)
labels = st.builds(Labels, names=st.just(("family",)), level=st.none() | st.integers(1, 5), pinned=st.booleans())
unpinned = st.builds(Labels, names=st.just(("family",)), level=st.none() | st.integers(1, 5))


def totals(instants: list[float], half_life: float) -> dict[int, int]:
    sums: dict[int, int] = defaultdict(int)
    for at in instants:
        epoch, whole = weight(at, half_life)
        sums[epoch] += whole
    return sums


@given(st.lists(ages, max_size=60), half_lives, st.randoms(use_true_random=False))
def test_the_score_is_the_same_to_the_last_bit_whatever_the_order_of_arrival(
    history: list[float], half_life: float, draw: random.Random
) -> None:
    instants = [NOW - age for age in history]
    shuffled = draw.sample(instants, len(instants))
    assert totals(instants, half_life) == totals(shuffled, half_life)
    assert score_at(totals(instants, half_life).items(), half_life, NOW) == score_at(totals(shuffled, half_life).items(), half_life, NOW)


@given(st.lists(ages, min_size=1, max_size=60), half_lives)
def test_the_score_is_the_sum_over_the_messages(history: list[float], half_life: float) -> None:
    exact = sum((Fraction(2.0 ** (-age / half_life)) for age in history), Fraction())
    score = score_at(totals([NOW - age for age in history], half_life).items(), half_life, NOW)
    # One unit in the last place of the whole-number weight per message, and what the binary instants around NOW can't tell apart.
    assert math.isclose(score, float(exact), rel_tol=1e-6 if half_life < DAY else 1e-9, abs_tol=len(history) * 2 / UNIT)


@pytest.mark.parametrize(("age", "expected"), [(0, 1.0), (30 * DAY, 0.5), (60 * DAY, 0.25), (300 * DAY, 2.0**-10)])
def test_a_message_weighs_half_after_each_half_life(age: float, expected: float) -> None:
    assert score_at(totals([NOW - age], HALF_LIFE).items(), HALF_LIFE, NOW) == pytest.approx(expected, rel=1e-8)


def test_a_clock_that_was_set_back_by_years_stops_nothing() -> None:
    assert score_at(totals([NOW], 1.0).items(), 1.0, NOW - 10 * 365 * DAY) > 1


@pytest.mark.parametrize(
    ("sent", "received", "balance", "expected"),
    [
        (10, 3, Balance.MUTUAL, 6),
        (3, 10, Balance.MUTUAL, 6),
        (10, 0, Balance.MUTUAL, 0),
        (10, 3, Balance.TOTAL, 13),
        (10, 0, Balance.TOTAL, 10),
    ],
)
def test_two_directions_make_one_score(sent: float, received: float, balance: Balance, expected: float) -> None:
    assert balanced(sent, received, balance) == expected


@pytest.mark.parametrize(
    ("score", "expected"), [(1000, 1), (20, 1), (19.99, 2), (10, 2), (9.99, 3), (5, 3), (4.99, 4), (1, 4), (0.99, 5), (0, 5)]
)
def test_a_level_begins_at_its_threshold(score: float, expected: int) -> None:
    assert level_of(score, THRESHOLDS) == expected


@pytest.mark.parametrize(
    ("score", "labels", "expected"),
    [
        (0.0, NO_LABELS, 5),
        (0.0, Labels(("colleague",)), 5),
        (0.0, Labels(("family",), 2), 2),
        (25.0, Labels(("family",), 2), 1),
        (25.0, Labels(("family",), 2, pinned=True), 2),
        (0.0, Labels((), 1, pinned=True), 1),
        (25.0, Labels((), 5, pinned=True), 5),
    ],
)
def test_labels_bring_closer_and_a_pin_decides(score: float, labels: Labels, expected: int) -> None:
    assert level(score, labels, THRESHOLDS) == expected


@given(scores, unpinned)
def test_labels_that_are_not_pinned_never_take_a_contact_further_away(score: float, labels: Labels) -> None:
    assert level(score, labels, THRESHOLDS) <= level_of(score, THRESHOLDS)


@given(scores, labels)
def test_the_explained_level_is_the_level(score: float, labels: Labels) -> None:
    assert closeness(score, labels, SCALE, NOW).level == level(score, labels, THRESHOLDS)


@pytest.mark.parametrize(
    ("score", "because"),
    [
        (0.0, "score 0.00 is below 1"),
        (0.996, "score 0.996 is below 1"),
        (0.9999997, "score 0.9999997 is below 1"),
        (1 - 2**-53, "score 0.9999999999999999 is below 1"),
        (1.0, "score 1.00 is at least 1"),
    ],
)
def test_a_score_that_is_below_a_threshold_is_shown_below_it(score: float, because: str) -> None:
    assert closeness(score, NO_LABELS, SCALE, NOW).because == (because,)


@given(st.lists(ages, max_size=40), labels, st.floats(0.0, 1.0))
def test_a_level_stays_until_the_instant_that_is_named_and_falls_then(history: list[float], labels: Labels, part: float) -> None:
    sums = totals([NOW - age for age in history], HALF_LIFE).items()
    verdict = closeness(score_at(sums, HALF_LIFE, NOW), labels, SCALE, NOW)
    # A second is 3e-7 of the half-life: the instant is that of a logarithm of doubles.
    if verdict.until is None:
        assert level(score_at(sums, HALF_LIFE, NOW + 4000 * DAY), labels, THRESHOLDS) == verdict.level
    else:
        before = NOW + max(0.0, verdict.until - NOW - 1) * part
        assert level(score_at(sums, HALF_LIFE, before), labels, THRESHOLDS) == verdict.level
        assert level(score_at(sums, HALF_LIFE, verdict.until + 1), labels, THRESHOLDS) > verdict.level
