"""Who is available, and what the team shows: the sentences of spec/20-virtual.md, Names and status."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules.presence import Show
from component.rules.team_status import Resource, aggregate, is_available, of_member

DEFAULT = (Show.ONLINE, Show.CHAT, Show.AWAY, Show.DND)
resources = st.lists(st.builds(Resource, st.sampled_from([show for show in Show if show is not Show.OFFLINE]), st.integers(-128, 127)))


@pytest.mark.parametrize(
    ("shows", "seen"),
    [
        ([], Show.OFFLINE),
        ([Show.ONLINE], Show.ONLINE),
        ([Show.CHAT], Show.ONLINE),
        ([Show.DND, Show.CHAT, Show.AWAY], Show.ONLINE),
        ([Show.AWAY, Show.DND], Show.DND),
        ([Show.XA, Show.DND], Show.DND),
        ([Show.AWAY], Show.AWAY),
        ([Show.XA], Show.AWAY),
    ],
)
def test_a_team_shows(shows: list[Show], seen: Show) -> None:
    assert aggregate(Resource(show) for show in shows) is seen


@pytest.mark.parametrize(
    ("team", "available"),
    [
        ([], False),
        ([Resource(Show.ONLINE)], True),
        ([Resource(Show.DND)], True),
        ([Resource(Show.XA)], False),
        ([Resource(Show.XA), Resource(Show.ONLINE)], True),
        ([Resource(Show.ONLINE, -1)], False),
        ([Resource(Show.ONLINE, -1), Resource(Show.XA, 5)], False),
    ],
)
def test_a_sub_user_is_available_with_a_resource_that_takes_messages_and_has_such_a_show(team: list[Resource], available: bool) -> None:
    assert is_available(team, DEFAULT) is available


def test_the_shows_that_make_available_can_be_chosen() -> None:
    assert is_available([Resource(Show.XA)], [Show.XA])
    assert not is_available([Resource(Show.DND)], [Show.ONLINE, Show.CHAT])


def test_a_member_with_a_resource_is_that_resource_alone() -> None:
    desk = {"desk@x.org/ann": Resource(Show.AWAY), "desk@x.org/ben": Resource(Show.ONLINE)}
    assert list(of_member("desk@x.org/ann", desk)) == [Resource(Show.AWAY)]
    assert list(of_member("desk@x.org/cid", desk)) == []
    assert len(list(of_member("desk@x.org", desk))) == 2


@given(resources)
def test_resources_that_take_no_messages_change_nothing(team: Sequence[Resource]) -> None:
    assert aggregate(team) is aggregate([one for one in team if one.priority >= 0])


@given(resources)
def test_the_order_of_resources_changes_nothing(team: list[Resource]) -> None:
    assert aggregate(team) is aggregate(reversed(team))
    assert is_available(team, DEFAULT) is is_available(reversed(team), DEFAULT)


@given(resources)
def test_a_team_with_somebody_available_never_shows_offline(team: list[Resource]) -> None:
    if is_available(team, DEFAULT):
        assert aggregate(team) is not Show.OFFLINE
