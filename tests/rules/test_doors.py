import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules.doors import LEVELS, Door, Effect, effect, visible, visible_of

levels = st.sampled_from(LEVELS)
opened = st.frozensets(levels)


@pytest.mark.parametrize(
    ("level", "seen"),
    [(1, {1, 3, 5}), (2, {3, 5}), (3, {3, 5}), (4, {5}), (5, {5}), (None, set())],
)
def test_of_the_open_levels_1_3_and_5_a_contact_sees_those_that_are_not_closer(level: int | None, seen: set[int]) -> None:
    assert visible(frozenset({1, 3, 5}), level) == seen


@given(opened, levels | st.none(), levels)
def test_a_level_is_visible_if_and_only_if_it_is_open_and_the_contact_is_close_enough(
    opened: frozenset[int], level: int | None, asked: int
) -> None:
    allowed = asked in opened and level is not None and level <= asked
    assert visible_of(opened, level, asked) == ({asked} if allowed else set())


@given(opened, levels | st.none())
def test_whoever_asks_for_all_levels_gets_what_asking_for_each_gives(opened: frozenset[int], level: int | None) -> None:
    assert visible_of(opened, level, None) == frozenset().union(*(visible_of(opened, level, each) for each in LEVELS))


@given(opened, levels, levels)
def test_a_closer_contact_sees_all_that_a_less_close_one_sees(opened: frozenset[int], one: int, other: int) -> None:
    assert visible(opened, min(one, other)) >= visible(opened, max(one, other))


@pytest.mark.parametrize(
    ("before", "after", "contacts", "expected"),
    [
        (set(), {1, 3, 5}, [1, 2, 3, 4, 5], Effect(5, 0)),
        ({1, 3, 5}, set(), [1, 2, 3, 4, 5], Effect(0, 5)),
        ({3}, {5}, [1, 4, 4], Effect(3, 1)),
        ({1}, {2}, [2, 3], Effect(1, 0)),
        ({4}, {4}, [1, 5], Effect(0, 0)),
        ({5}, {4, 5}, [], Effect(0, 0)),
    ],
)
def test_opening_counts_who_gains_and_who_loses(before: set[int], after: set[int], contacts: list[int], expected: Effect) -> None:
    for door in (Door.CONTACTS, Door.FILES):
        assert effect(door, frozenset(before), frozenset(after), contacts) == expected


@pytest.mark.parametrize(
    ("before", "after", "contacts", "expected"),
    [
        (set(), {3}, [1, 2, 3, 4, 5], Effect(3, 0)),
        ({3}, {3, 5}, [1, 2, 3, 4, 5], Effect(2, 0)),
        ({3}, {5}, [1, 2, 3, 4, 5], Effect(2, 0)),
        ({5}, {1, 3}, [1, 2, 3, 4, 5], Effect(0, 2)),
        ({3}, set(), [1, 4], Effect(0, 1)),
    ],
)
def test_there_is_but_one_real_name_to_gain_or_to_lose(before: set[int], after: set[int], contacts: list[int], expected: Effect) -> None:
    assert effect(Door.REAL_NAME, frozenset(before), frozenset(after), contacts) == expected


@given(st.sampled_from(Door), opened, opened, st.lists(levels))
def test_undoing_a_change_turns_gain_into_loss(door: Door, before: frozenset[int], after: frozenset[int], contacts: list[int]) -> None:
    there, back = effect(door, before, after, contacts), effect(door, after, before, contacts)
    assert (there.gain, there.lose) == (back.lose, back.gain)
