"""Who gets a customer's message: the tables of the seed example, one table per policy, and laws."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules import hours
from component.rules.distance import Place, distance
from component.rules.routing import POLICIES, Call, Choice, Member, Standing, Step, choose, standing

HOUR = 3600.0
MONDAY_NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC).timestamp()


def at(day: int, hour: int, minute: int, second: int) -> float:
    return datetime(2026, 3, day, hour, minute, second, tzinfo=UTC).timestamp()


# --- the seed example: customer abc, ShopAssistant1 at 11:45:10, ShopAssistant3 the day before, asked at 13:05:55 ---

ASSISTANTS = [Member("assistant1@x.org", load=3), Member("assistant2@x.org", load=1), Member("assistant3@x.org", load=2)]
RECORDS = {"assistant1@x.org": at(2, 11, 45, 10), "assistant3@x.org": at(1, 11, 45, 10)}


@pytest.mark.parametrize(
    ("expiry", "member", "policy"),
    [(24 * HOUR, "assistant1@x.org", "latest"), (HOUR, "assistant2@x.org", "least-load")],
)
def test_the_seed_example(expiry: float, member: str, policy: str) -> None:
    call = Call(at(2, 13, 5, 55), RECORDS, expiry)
    choice = choose(call, ASSISTANTS, ["latest", "least-load"])
    assert (choice.member, choice.policy) == (member, policy)


# --- one policy at a time ---

ANN, BEN, CID = (Member(f"{name}@x.org") for name in ("ann", "ben", "cid"))
BERLIN, MUNICH, SYDNEY = Place(52.52, 13.4), Place(48.137, 11.575), Place(-33.87, 151.21)
OFFICE = hours.parse("Mon-Fri 09:00-17:00 UTC")
NIGHT = hours.parse("Mon-Sun 22:00-06:00 UTC")
GERMAN = {"language": frozenset({"de"})}


@pytest.mark.parametrize(
    ("policy", "call", "team", "preferred"),
    [
        ("latest", Call(100.0, {"ann@x.org": 10.0, "ben@x.org": 20.0}), [ANN, BEN, CID], "ben"),
        ("latest", Call(100.0, {"ann@x.org": 10.0, "ben@x.org": 20.0}), [ANN, CID], ""),
        ("latest", Call(100.0, {"ben@x.org": 20.0}, history_expiry=80.0), [ANN, BEN], ""),
        ("latest", Call(100.0), [ANN, BEN], ""),
        ("nearest", Call(0.0, place=BERLIN), [replace(ANN, place=SYDNEY), replace(BEN, place=MUNICH), CID], "ben"),
        ("nearest", Call(0.0, place=BERLIN), [replace(ANN, place=MUNICH), replace(BEN, place=MUNICH), CID], "ann ben"),
        ("nearest", Call(0.0, place=BERLIN), [ANN, BEN], ""),
        ("nearest", Call(0.0), [replace(ANN, place=SYDNEY)], ""),
        ("nearest-known", Call(9.0, {"ann@x.org": 1.0}, place=BERLIN), [replace(ANN, place=SYDNEY), replace(BEN, place=MUNICH)], "ann"),
        ("nearest-known", Call(9.0, place=BERLIN), [replace(ANN, place=SYDNEY), replace(BEN, place=MUNICH)], ""),
        ("least-load", Call(0.0), [replace(ANN, load=2, capacity=4), replace(BEN, load=1, capacity=1), replace(CID, load=3)], "ann"),
        ("least-load", Call(0.0), [replace(ANN, load=1, capacity=3), replace(BEN, load=2, capacity=6)], "ann ben"),
        ("least-load-known", Call(9.0, {"ben@x.org": 1.0}), [ANN, replace(BEN, load=4)], "ben"),
        ("least-load-known", Call(9.0), [ANN, replace(BEN, load=4)], ""),
        ("attributes", Call(0.0, attributes=GERMAN), [replace(ANN, attributes=GERMAN), BEN], "ann"),
        ("attributes", Call(0.0, attributes=GERMAN), [replace(ANN, attributes={"language": frozenset({"fr"})}), BEN], ""),
        ("attributes", Call(0.0), [replace(ANN, attributes=GERMAN), BEN], ""),
        ("hours", Call(MONDAY_NOON), [replace(ANN, hours=NIGHT), replace(BEN, hours=OFFICE), CID], "ben"),
        ("hours", Call(MONDAY_NOON), [replace(ANN, hours=NIGHT), CID], "cid"),
        ("hours", Call(MONDAY_NOON), [replace(ANN, hours=NIGHT)], ""),
        ("bandwidth", Call(0.0), [replace(ANN, round_trip=0.2), replace(BEN, round_trip=0.1), CID], "ben"),
        ("bandwidth", Call(0.0), [ANN, BEN], ""),
        ("round-robin", Call(0.0), [replace(ANN, turn=3), replace(BEN, turn=1), replace(CID, turn=2)], "ben"),
        ("random", Call(0.0, draw=0.0), [CID, ANN, BEN], "ann"),
        ("random", Call(0.0, draw=0.999), [CID, ANN, BEN], "cid"),
    ],
)
def test_a_policy_prefers(policy: str, call: Call, team: Sequence[Member], preferred: str) -> None:
    assert {member.jid.partition("@")[0] for member in POLICIES[policy](call, team)} == set(preferred.split())


@pytest.mark.parametrize(
    ("name", "customer", "member", "fits"),
    [
        ("language", "de", "de", True),
        ("language", "de-at", "de", True),
        ("language", "de", "de-at", True),
        ("language", "de", "den", False),
        ("age", "27", "18-30", True),
        ("age", "31", "18-30", False),
        ("age", "71", "60+", True),
        ("age", "59", "60+", False),
        ("age", "²7", "18-30", False),
        ("gender", "f", "female", True),
        ("gender", "female", "f", True),
        ("gender", "m", "female", False),
        ("gender", "diverse", "diverse", True),
        ("skill", "java", "java", True),
        ("skill", "java", "javascript", False),
    ],
)
def test_attributes_fit(name: str, customer: str, member: str, fits: bool) -> None:
    call = Call(0.0, attributes={name: frozenset({customer})})
    preferred = POLICIES["attributes"](call, [replace(ANN, attributes={name: frozenset({member, "x"})})])
    assert bool(preferred) is fits


def test_one_attribute_that_differs_is_enough_not_to_fit() -> None:
    call = Call(0.0, attributes={"language": frozenset({"de"}), "level": frozenset({"senior"})})
    ann = replace(ANN, attributes={"language": frozenset({"de"}), "level": frozenset({"junior"})})
    ben = replace(BEN, attributes={"language": frozenset({"de", "en"})})
    assert POLICIES["attributes"](call, [ann, ben]) == [ben]


# --- the whole choice ---


def test_everybody_who_was_not_chosen_has_a_reason() -> None:
    team = [
        replace(ANN, available=False),
        replace(BEN, paused=True),
        replace(CID, load=5),
        Member("dan@x.org", load=1),
        Member("eve@x.org"),
        Member("fay@x.org"),
    ]
    choice = choose(Call(0.0, tried=frozenset({"fay@x.org"})), team, ["latest", "least-load"])
    assert choice == Choice(
        "eve@x.org",
        "least-load",
        {"ann@x.org": "offline", "ben@x.org": "paused", "cid@x.org": "full", "dan@x.org": "least-load", "fay@x.org": "tried"},
    )


def test_the_last_tie_goes_to_the_longest_idle_and_then_by_jid() -> None:
    assert choose(Call(9.0), [replace(ANN, active_at=5.0), replace(BEN, active_at=4.0)], []) == Choice(
        "ben@x.org", "longest-idle", {"ann@x.org": "longest-idle"}
    )
    assert choose(Call(9.0), [BEN, ANN], []) == Choice("ann@x.org", "jid", {"ben@x.org": "jid"})


def test_the_only_one_there_is_chosen_by_the_first_policy_that_could_tell() -> None:
    assert choose(Call(9.0), [replace(ANN, available=False), BEN], ["latest", "nearest", "least-load"]).policy == "least-load"


def test_new_customers_are_shared_out_by_capacity() -> None:
    team = {"ann": replace(ANN, capacity=4), "ben": replace(BEN, capacity=1)}
    assert [_give(team, ["least-load"], turn) for turn in range(5)].count("ann") == 4
    assert choose(Call(0.0), list(team.values()), ["least-load"]).member is None


def test_round_robin_is_fair_when_one_leaves() -> None:
    team = {"ann": replace(ANN, capacity=99), "ben": replace(BEN, capacity=99), "cid": replace(CID, capacity=99)}
    first = [_give(team, ["round-robin"], turn) for turn in range(1, 7)]
    assert [first.count(name) for name in team] == [2, 2, 2]
    team["ben"] = replace(team["ben"], available=False)
    then = [_give(team, ["round-robin"], turn) for turn in range(7, 11)]
    assert [then.count(name) for name in team] == [2, 0, 2]


def _give(team: dict[str, Member], policies: Sequence[str], turn: int) -> str:
    chosen = choose(Call(float(turn)), list(team.values()), policies).member
    assert chosen is not None
    name = chosen.partition("@")[0]
    team[name] = replace(team[name], load=team[name].load + 1, turn=turn)
    return name


# --- laws ---

members = st.builds(
    Member,
    jid=st.sampled_from([f"{name}@x.org" for name in "abcdefghij"]),
    available=st.booleans(),
    paused=st.sampled_from([False, False, True]),
    load=st.integers(0, 6),
    capacity=st.integers(1, 6),
    turn=st.integers(0, 5),
    active_at=st.sampled_from([0.0, 1.0, 2.0]),
    place=st.sampled_from([None, BERLIN, MUNICH, SYDNEY]),
    hours=st.sampled_from([None, OFFICE, NIGHT]),
    attributes=st.sampled_from([{}, GERMAN, {"language": frozenset({"fr"})}]),
    round_trip=st.sampled_from([None, 0.1, 0.2]),
)
teams = st.lists(members, max_size=10, unique_by=lambda member: member.jid)
policies = st.lists(st.sampled_from(sorted(POLICIES)), max_size=5, unique=True)
calls = st.builds(
    Call,
    now=st.sampled_from([MONDAY_NOON, MONDAY_NOON + 12 * HOUR]),
    records=st.dictionaries(st.sampled_from([f"{name}@x.org" for name in "abcdefghij"]), st.floats(MONDAY_NOON - 9e4, MONDAY_NOON)),
    place=st.sampled_from([None, BERLIN]),
    attributes=st.sampled_from([{}, GERMAN]),
    tried=st.frozensets(st.sampled_from([f"{name}@x.org" for name in "abcdefghij"]), max_size=3),
    draw=st.floats(0, 1, exclude_max=True),
)


@given(calls, teams, policies)
def test_the_chosen_one_is_there_has_room_and_is_new_to_this_message(call: Call, team: list[Member], order: list[str]) -> None:
    chosen = choose(call, team, order).member
    free = {m.jid for m in team if m.available and not m.paused and m.load < m.capacity and m.jid not in call.tried}
    assert chosen in free if free else chosen is None


@given(calls, teams, policies, st.data())
def test_the_listing_order_of_members_does_not_matter(call: Call, team: list[Member], order: list[str], data: st.DataObject) -> None:
    assert choose(call, data.draw(st.permutations(team)), order) == choose(call, team, order)


@given(calls, teams, policies)
def test_everybody_is_either_chosen_or_has_a_reason(call: Call, team: list[Member], order: list[str]) -> None:
    choice = choose(call, team, order)
    assert sorted([*choice.considered, *([choice.member] if choice.member else [])]) == sorted(member.jid for member in team)


@given(calls, teams, policies, st.integers(0, 5), st.sampled_from(sorted(POLICIES)))
def test_a_policy_that_cannot_tell_changes_nothing(call: Call, team: list[Member], order: list[str], place: int, name: str) -> None:
    blind = {
        "latest": (replace(call, records={}), team),
        "nearest": (replace(call, place=None), team),
        "nearest-known": (replace(call, records={}), team),
        "least-load-known": (replace(call, records={}), team),
        "attributes": (replace(call, attributes={}), team),
        "hours": (call, [replace(m, hours=NIGHT) for m in team] if call.now == MONDAY_NOON else [replace(m, hours=OFFICE) for m in team]),
        "bandwidth": (call, [replace(m, round_trip=None) for m in team]),
    }
    if name in blind:
        call, team = blind[name]
        without = [policy for policy in order if policy != name]
        assert choose(call, team, [*without[:place], name, *without[place:]]) == choose(call, team, without)


@given(calls, teams)
def test_nearest_is_nobody_farther_than_another(call: Call, team: list[Member]) -> None:
    here = Place(50.0, 10.0)
    for member in POLICIES["nearest"](replace(call, place=here), team):
        assert member.place is not None
        assert all(distance(here, member.place) <= distance(here, other.place) for other in team if other.place is not None)


@given(calls, teams, st.sampled_from(sorted(POLICIES)))
def test_a_policy_never_invents_anybody(call: Call, team: list[Member], name: str) -> None:
    assert all(member in team for member in POLICIES[name](call, team))


# --- step 3 ---


@pytest.mark.parametrize(
    ("member", "last_at", "away_since", "now", "expected"),
    [
        (None, 90.0, 0.0, 100.0, Standing(Step.CHOOSE)),
        (ANN, 90.0, 0.0, 100.0, Standing(Step.KEEP)),
        (replace(ANN, paused=True, load=9), 90.0, 0.0, 100.0, Standing(Step.KEEP)),
        (ANN, 40.0, 0.0, 100.0, Standing(Step.CHOOSE)),
        (ANN, 40.000001, 0.0, 100.0, Standing(Step.KEEP)),
        (replace(ANN, available=False), 90.0, 95.0, 100.0, Standing(Step.WAIT, 105.0)),
        (replace(ANN, available=False), 90.0, 90.0, 100.0, Standing(Step.CHOOSE)),
        (replace(ANN, available=False), 40.0, 95.0, 100.0, Standing(Step.CHOOSE)),
    ],
)
def test_a_conversation_stays(member: Member | None, last_at: float, away_since: float, now: float, expected: Standing) -> None:
    assert standing(member, last_at, away_since, history_expiry=60.0, absence_grace=10.0, now=now) == expected


@given(st.floats(0, 1e10), st.floats(0, 3600), st.floats(-10, 3600))
def test_waiting_ends_at_the_very_instant_that_was_named(away_since: float, grace: float, later: float) -> None:
    def ask(now: float) -> Standing:
        return standing(replace(ANN, available=False), now, away_since, 60.0, grace, now)

    first = ask(away_since + later)
    if first.until is not None:
        assert ask(first.until).step is Step.CHOOSE
