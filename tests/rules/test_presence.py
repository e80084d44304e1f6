"""The decision table of spec/10-presence.md, side by side with it, and the laws that no table can list."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules.presence import (
    OUTCOMES,
    Always,
    Case,
    Outcome,
    Own,
    Recent,
    Rules,
    Show,
    decide,
    standing,
    tailor,
    truth,
)

NOW = 1_000_000.0
RULES = Rules(sent_window=60, received_window=600, unread_max_age=3600)
NEVER = 0.0


@pytest.mark.parametrize(
    ("sent", "received", "unread", "case", "show", "until"),
    [
        (NOW - 59, NOW - 1, NOW - 1, Case.TALKING, Show.ONLINE, NOW + 1),
        (NOW - 59, NEVER, NEVER, Case.TALKING, Show.ONLINE, NOW + 1),
        (NOW - 60, NOW - 599, NOW - 1, Case.UNANSWERED, Show.AWAY, NOW + 1),
        (NEVER, NOW, NEVER, Case.UNANSWERED, Show.AWAY, NOW + 600),
        (NOW - 60, NOW - 600, NOW - 3599, Case.BUSY, Show.DND, NOW + 1),
        (NEVER, NEVER, NOW, Case.BUSY, Show.DND, NOW + 3600),
        (NOW - 61, NOW - 601, NOW - 3600, Case.FREE, Show.ONLINE, None),
        (NEVER, NEVER, NEVER, Case.FREE, Show.ONLINE, None),
    ],
)
def test_the_table_gives_case_outcome_and_end(
    sent: float, received: float, unread: float, case: Case, show: Show, until: float | None
) -> None:
    verdict = decide(Recent(sent, received), unread, RULES, None, NOW)
    assert (verdict.case, verdict.outcome.show, verdict.until) == (case, show, until)


instants = st.one_of(st.just(0.0), st.floats(min_value=NOW - 1e7, max_value=NOW + 1e4))
windows = st.floats(min_value=1, max_value=2_592_000)
outcomes = st.builds(Outcome, st.sampled_from(OUTCOMES), st.sampled_from(["", "Back soon"]))
rules = st.builds(
    Rules,
    windows,
    windows,
    windows,
    st.tuples(*(st.tuples(st.just(case), outcomes) for case in Case)),
)
owns = st.builds(
    Own,
    st.sampled_from([show for show in Show if show is not Show.OFFLINE]),
    st.sampled_from([(), (("", "here"),), (("", "here"), ("de", "da"))]),
    st.integers(-128, 127),
    st.sampled_from(["a", "b"]),
)


@given(instants, instants, instants, rules)
def test_nothing_changes_before_the_instant_the_verdict_names(sent: float, received: float, unread: float, settings: Rules) -> None:
    verdict = decide(Recent(sent, received), unread, settings, None, NOW)
    if verdict.until is None:
        later = NOW + 1e9
    else:
        assert verdict.until > NOW
        later = (NOW + verdict.until) / 2
    again = decide(Recent(sent, received), unread, settings, None, later)
    assert again.case is verdict.case


@given(instants, instants, instants, rules)
def test_at_the_instant_the_verdict_names_its_case_has_ended(sent: float, received: float, unread: float, settings: Rules) -> None:
    verdict = decide(Recent(sent, received), unread, settings, None, NOW)
    if verdict.until is not None:
        assert decide(Recent(sent, received), unread, settings, None, verdict.until).case is not verdict.case


@given(instants, instants, instants, rules, outcomes)
def test_an_always_rule_beats_the_table(sent: float, received: float, unread: float, settings: Rules, outcome: Outcome) -> None:
    assert decide(Recent(sent, received), unread, settings, Always("bob@example.org", outcome), NOW).outcome == outcome


@given(owns, outcomes)
def test_nobody_looks_more_available_than_their_own_presence(own: Own, outcome: Outcome) -> None:
    seen = tailor(own, outcome)
    shown = own.show if seen.outcome is None else seen.outcome.show
    assert shown.rank >= own.show.rank


@given(owns, outcomes, outcomes)
def test_what_looks_the_same_has_the_same_key(own: Own, one: Outcome, other: Outcome) -> None:
    def look(outcome: Outcome) -> tuple[object, ...]:
        seen = tailor(own, outcome)
        if seen.outcome is None:
            return own.show, own.status
        status = (("", seen.outcome.status),) if seen.outcome.status else own.status
        if seen.outcome.show is Show.OFFLINE:
            return Show.OFFLINE, status if seen.outcome.status else ()
        return seen.outcome.show, status

    assert (tailor(own, one).key == tailor(own, other).key) == (look(one) == look(other))


@given(owns)
def test_an_online_outcome_passes_the_own_presence_on_unchanged(own: Own) -> None:
    assert tailor(own, Outcome(Show.ONLINE, "never seen")) == truth(own)


@pytest.mark.parametrize(
    ("own", "outcome", "word"),
    [
        (Show.ONLINE, Show.CHAT, "own"),
        (Show.CHAT, Show.CHAT, "own"),
        (Show.CHAT, Show.ONLINE, "own"),
        (Show.ONLINE, Show.AWAY, "away"),
        (Show.AWAY, Show.AWAY, "own"),
        (Show.DND, Show.AWAY, "own"),
        (Show.AWAY, Show.DND, "dnd"),
        (Show.XA, Show.DND, "own"),
        (Show.DND, Show.XA, "xa"),
        (Show.XA, Show.OFFLINE, "offline"),
    ],
)
def test_of_own_presence_and_outcome_the_less_available_is_shown(own: Show, outcome: Show, word: str) -> None:
    assert tailor(Own(own), Outcome(outcome)).word == word


def test_a_contact_rule_beats_a_group_rule_and_groups_go_by_name() -> None:
    contact = Always("bob@example.org", Outcome(Show.XA))
    family, work = Always("group:Family", Outcome(Show.CHAT)), Always("group:Work", Outcome(Show.DND))
    groups = frozenset({"Work", "Family"})
    always = {rule.who: rule for rule in (work, family, contact)}
    assert standing(always, "bob@example.org", groups, NOW) is contact
    assert standing(always, "eve@example.org", groups, NOW) is family
    assert standing(always, "eve@example.org", frozenset({"Work", "Art"}), NOW) is work
    assert standing(always, "eve@example.org", frozenset(), NOW) is None


def test_a_rule_with_an_end_holds_until_just_before_it() -> None:
    rule = Always("bob@example.org", Outcome(Show.XA), until=NOW)
    group = Always("group:Work", Outcome(Show.DND))
    always = {rule.who: rule, group.who: group}
    assert standing(always, "bob@example.org", frozenset({"Work"}), NOW - 0.001) is rule
    assert standing(always, "bob@example.org", frozenset({"Work"}), NOW) is group
    assert standing(always, "bob@example.org", frozenset(), NOW) is None
