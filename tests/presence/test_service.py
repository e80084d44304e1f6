"""S0's service against a fake server and clock: what each contact sees, and when it changes (spec/10-presence.md)."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from component.ports import LinkDown
from component.presence.service import Presence
from component.presence.store import Settings
from component.rules.facts import Bounce, Fact, Message, Read
from component.rules.presence import Case, Outcome, Own, Rules, Show
from tests.fakes import FakeClock, FakeLedger, FakeServer, item

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"
PHONE, DESK = f"{ALICE}/phone", f"{ALICE}/desk"
ONLINE = Own(Show.ONLINE, (("", "here"),), 5, "caps")


class MemoryStore:
    """presence/store.py without a database."""

    def __init__(self) -> None:
        self.saved: dict[str, Settings] = {}

    async def all(self) -> Mapping[str, Settings]:
        return dict(self.saved)

    async def save(self, user: str, settings: Settings) -> None:
        self.saved[user] = settings


class World:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.server = FakeServer(rosters={ALICE: {BOB: item(BOB, "both", "Friends"), CAROL: item(CAROL, "from", "Work")}})
        self.ledger = FakeLedger()
        self.store = MemoryStore()
        self.presence = Presence(self.server, self.ledger, self.store, self.clock, 0.05, Rules())  # type: ignore[arg-type]

    async def opt_in(self, **rules: object) -> None:
        await self.presence.change(ALICE, lambda before: replace(before, enabled=True, rules=replace(Rules(), **rules)))  # type: ignore[arg-type]
        for session in list(self.server.sessions(ALICE).values()):
            self.presence.on_session(session, {}, True)  # the module's answer to the gate
        await self.presence.drain()

    def log_in(self, jid: str, own: Own = ONLINE, version: int = 1, shown: Mapping[str, str] | None = None) -> None:
        session = self.server.log_in(jid, own, version)
        self.presence.on_session(session, shown, False)

    async def fact(self, fact: Fact) -> None:
        if isinstance(fact, Message):
            self.presence.on_message(fact)
        self.ledger.facts.append(fact)
        self.presence.on_stored(fact)
        await self.presence.drain()

    async def message(self, sender: str, recipient: str, stanza_id: str = "", correction: bool = False) -> None:
        await self.fact(Message(sender, recipient, self.clock.now(), stanza_id, correction=correction))

    def sees(self, contact: str, session: str = PHONE) -> str:
        return self.server.shows(session, contact)


@pytest.fixture
async def world() -> World:
    world = World()
    world.server.log_in(PHONE, ONLINE)
    await world.opt_in()
    return world


async def test_opting_in_gates_the_user_and_sends_nothing_that_contacts_already_see(world: World) -> None:
    assert world.server.gates == {ALICE: True}
    assert world.server.sent == []


async def test_an_unanswered_contact_sees_away_for_the_window(world: World) -> None:
    await world.message(BOB, ALICE)
    assert world.sees(BOB) == "away"
    world.clock.run(1799.9)
    assert world.sees(BOB) == "away"
    world.clock.run(0.1)
    assert world.sees(BOB) == "dnd"  # the message is still unread


async def test_windows_that_grow_reach_what_lay_before_them(world: World) -> None:
    await world.message(ALICE, BOB)
    world.clock.run(2 * 86400)
    world.server.log_out(PHONE)
    world.presence.on_gone(PHONE)
    world.log_in(PHONE, shown={})
    await world.presence.drain()
    explained = await world.presence.explain(ALICE, BOB)
    assert explained.verdict.case is Case.FREE and explained.recent.sent_at > 0
    longer = replace(Rules(), sent_window=3 * 86400.0, outcomes=((Case.TALKING, Outcome(Show.DND)), *Rules().outcomes[1:]))
    await world.presence.change(ALICE, lambda before: replace(before, rules=longer))
    assert world.sees(BOB) == "dnd"


async def test_an_answered_contact_sees_the_user_online(world: World) -> None:
    await world.message(BOB, ALICE)
    await world.message(ALICE, BOB)
    assert world.sees(BOB) == "own"


async def test_an_unread_message_makes_the_user_busy_for_all_others_in_one_pass(world: World) -> None:
    await world.message(BOB, ALICE, "m1")
    assert world.sees(CAROL) == "own"
    world.clock.run(0.05)
    assert world.sees(CAROL) == "dnd"
    await world.fact(Read(ALICE, BOB, world.clock.now(), "m1"))
    world.clock.run(0.05)
    assert world.sees(CAROL) == "own"


async def test_unread_messages_within_settle_cause_one_pass(world: World) -> None:
    for _ in range(5):
        await world.message("eve@example.net", ALICE)
        world.clock.run(0.005)
    world.clock.run(0.05)
    assert [sent for sent in world.server.sent if sent[1] == CAROL] == [(PHONE, CAROL, "dnd")]


async def test_unread_messages_that_come_and_go_without_end_are_shown_all_the_same(world: World) -> None:
    for _ in range(10):
        await world.message("eve@example.net", ALICE, "m1")
        world.clock.run(0.04)
        await world.fact(Read(ALICE, "eve@example.net", world.clock.now(), "m1"))
        world.clock.run(0.005)
    assert (PHONE, CAROL, "dnd") in world.server.sent


async def test_an_unread_message_stops_counting_at_its_age(world: World) -> None:
    await world.opt_in(unread_max_age=60.0)
    await world.message("eve@example.net", ALICE)
    world.clock.run(59.9)
    assert world.sees(CAROL) == "dnd"
    world.clock.run(0.1)
    assert world.sees(CAROL) == "own"


async def test_a_correction_is_activity_but_nothing_unread(world: World) -> None:
    await world.message(BOB, ALICE, correction=True)
    world.clock.run(1)
    assert (world.sees(BOB), world.sees(CAROL)) == ("away", "own")


async def test_a_bounced_message_has_never_been(world: World) -> None:
    await world.message(ALICE, BOB, "m1")
    await world.message(BOB, ALICE)
    assert world.sees(BOB) == "own"
    await world.fact(Bounce(ALICE, BOB, world.clock.now(), "m1"))
    assert world.sees(BOB) == "away"


async def test_a_presence_change_reaches_each_contact_as_it_should(world: World) -> None:
    await world.message(BOB, ALICE)
    world.clock.run(0.05)
    world.server.sent.clear()
    world.log_in(PHONE, Own(Show.AWAY, (("", "lunch"),), 5, "caps"), version=2)
    assert {contact: word for _jid, contact, word in world.server.sent} == {BOB: "own", CAROL: "dnd"}


async def test_every_resource_is_tailored_on_its_own(world: World) -> None:
    world.log_in(DESK, Own(Show.XA))
    await world.message(BOB, ALICE)
    assert (world.sees(BOB, PHONE), world.sees(BOB, DESK)) == ("away", "own")


async def test_a_contact_that_comes_online_is_told_even_if_nothing_changed(world: World) -> None:
    await world.message(BOB, ALICE)
    world.server.sent.clear()
    world.presence.on_probe(BOB, ALICE)
    assert world.server.sent == [(PHONE, BOB, "away")]


async def test_blocked_contacts_are_shown_nothing_and_get_one_presence_when_unblocked(world: World) -> None:
    world.server.blocked[ALICE] = {"example.net", CAROL}
    world.presence.on_changed(ALICE, "blocks")
    await world.presence.drain()
    await world.message(BOB, ALICE)
    world.clock.run(1)
    assert [sent for sent in world.server.sent if sent[1] == CAROL] == []
    world.server.blocked[ALICE] = set()
    world.presence.on_changed(ALICE, "blocks")
    await world.presence.drain()
    assert [sent for sent in world.server.sent if sent[1] == CAROL] == [(PHONE, CAROL, "dnd")]


async def test_only_contacts_who_are_subscribed_are_shown_anything(world: World) -> None:
    world.server.rosters[ALICE][BOB] = item(BOB, "to")
    world.presence.on_changed(ALICE, "roster")
    await world.presence.drain()
    await world.message(BOB, ALICE)
    assert [sent for sent in world.server.sent if sent[1] == BOB] == []


async def test_a_new_subscriber_is_shown_what_fits(world: World) -> None:
    world.server.rosters[ALICE]["dave@example.org"] = item("dave@example.org", "from")
    world.presence.on_changed(ALICE, "roster")
    await world.presence.drain()
    assert world.server.sent == [(PHONE, "dave@example.org", "own")]


async def test_an_always_rule_ends_at_its_time(world: World) -> None:
    await world.presence.set_always(ALICE, BOB, Outcome(Show.XA), world.clock.now() + 10)
    assert world.sees(BOB) == "xa"
    world.clock.run(9.9)
    assert world.sees(BOB) == "xa"
    world.clock.run(0.1)
    assert world.sees(BOB) == "own"


async def test_a_group_rule_follows_the_roster(world: World) -> None:
    await world.presence.set_always(ALICE, "group:Friends", Outcome(Show.DND), None)
    assert (world.sees(BOB), world.sees(CAROL)) == ("dnd", "own")
    world.server.rosters[ALICE][BOB] = item(BOB, "both")
    world.presence.on_changed(ALICE, "roster")
    await world.presence.drain()
    assert world.sees(BOB) == "own"


async def test_opting_out_restores_the_truth_to_those_who_saw_something_else(world: World) -> None:
    await world.message(BOB, ALICE)
    world.server.sent.clear()
    await world.presence.opt_out(ALICE)
    assert world.server.sent == [(PHONE, BOB, "own")]
    assert world.server.gates == {ALICE: False}
    assert world.clock.waiting == 0


async def test_switching_while_the_link_is_down_changes_nothing(world: World) -> None:
    world.server.up = False
    with pytest.raises(LinkDown):
        await world.presence.opt_out(ALICE)
    assert world.presence.settings(ALICE).enabled
    assert world.store.saved[ALICE].enabled


async def test_after_a_restart_nobody_is_sent_what_they_already_saw(world: World) -> None:
    await world.message(BOB, ALICE)
    world.clock.run(1)
    again = World()
    again.store, again.ledger, again.clock, again.server = world.store, world.ledger, world.clock, world.server
    again.presence = Presence(world.server, world.ledger, world.store, world.clock, 0.05, Rules())  # type: ignore[arg-type]
    await again.presence.open()
    keys = {contact: world.server.key(PHONE, contact) for contact in (BOB, CAROL)}
    world.server.sent.clear()
    again.log_in(PHONE, shown=keys)
    again.presence.on_ready("example.org")
    await again.presence.drain()
    assert world.server.sent == []
    assert again.sees(BOB) == "away"


async def test_the_users_state_is_dropped_with_the_last_session(world: World) -> None:
    await world.message(BOB, ALICE)
    world.server.log_out(PHONE)
    world.presence.on_gone(PHONE)
    assert world.clock.waiting == 0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
async def test_the_order_in_which_old_facts_arrive_does_not_matter(world: World, order: tuple[int, ...]) -> None:
    now = world.clock.now()
    facts = [Message(BOB, ALICE, now - 30), Message(ALICE, BOB, now - 20), Message(BOB, ALICE, now - 10)]
    for index in order:
        await world.fact(facts[index])
    world.clock.run(1)
    assert (world.sees(BOB), world.sees(CAROL)) == ("own", "dnd")


async def test_the_users_own_outcomes_and_texts_are_used(world: World) -> None:
    outcomes = tuple((case, Outcome(Show.XA, "Later") if case is Case.UNANSWERED else Outcome(Show.ONLINE)) for case in Case)
    await world.opt_in(outcomes=outcomes)
    await world.message(BOB, ALICE)
    assert world.sees(BOB) == "xa"


async def test_who_is_forgotten_is_shown_no_more_and_has_set_nothing(world: World) -> None:
    await world.presence.opt_out(ALICE)
    world.presence.forget(ALICE)
    assert world.server.gates == {ALICE: False}
    assert world.presence.settings(ALICE) == Settings()
    assert list(world.presence.gated("example.org")) == []
    world.server.sent.clear()
    await world.message(BOB, ALICE)
    assert world.server.sent == []


async def test_of_a_contact_who_is_forgotten_neither_messages_nor_rules_are_left(world: World) -> None:
    await world.presence.set_always(ALICE, CAROL, Outcome(Show.XA), None)
    await world.presence.set_always(ALICE, BOB, Outcome(Show.AWAY), None)
    await world.message(CAROL, ALICE, "m1")
    world.clock.run(1)
    world.ledger.facts.clear()
    world.presence.forget(CAROL)
    await world.presence.drain()
    world.clock.run(1)
    assert list(world.presence.settings(ALICE).always) == [BOB]
    assert (world.sees(CAROL), world.sees(BOB)) == ("own", "away")


async def test_a_user_whose_presence_can_not_be_made_plain_now_stays_in(world: World) -> None:
    world.server.up = False
    with pytest.raises(LinkDown):
        await world.presence.opt_out(ALICE)
    assert world.presence.settings(ALICE).enabled


async def test_two_changes_at_once_both_count(world: World) -> None:
    always = [world.presence.set_always(ALICE, contact, Outcome(Show.XA), None) for contact in (BOB, CAROL)]
    await asyncio.gather(*always, world.presence.change(ALICE, lambda before: replace(before, rules=replace(Rules(), sent_window=60.0))))
    kept = world.store.saved[ALICE]
    assert kept.always.keys() == {BOB, CAROL}
    assert (kept.rules.sent_window, kept.enabled) == (60.0, True)
    assert (world.sees(BOB), world.sees(CAROL)) == ("xa", "xa")


async def test_a_user_who_is_their_own_contact_sees_the_truth_of_themselves(world: World) -> None:
    world.server.rosters[ALICE][ALICE] = item(ALICE)
    world.presence.on_changed(ALICE, "roster")
    await world.message(BOB, ALICE)
    world.clock.run(1)
    assert [sent for sent in world.server.sent if sent[1] == ALICE] == []


async def test_a_server_that_did_not_tell_a_roster_is_asked_again(world: World) -> None:
    await world.presence.opt_out(ALICE)
    world.server.stalled = True
    await world.opt_in()
    await world.message(BOB, ALICE)
    assert world.server.sent == []
    with pytest.raises(LinkDown):
        await world.presence.opt_out(ALICE)
    world.clock.run(4.9)
    world.server.stalled = False
    await world.presence.drain()
    assert world.server.sent == []
    world.clock.run(0.1)
    await world.presence.drain()
    assert (world.sees(BOB), world.sees(CAROL)) == ("away", "dnd")


async def test_what_is_not_stored_yet_is_not_forgotten_when_something_else_is_read_or_bounces(world: World) -> None:
    await world.message(CAROL, ALICE, "c1")
    await world.message(ALICE, CAROL, "a1")
    world.clock.run(1)
    world.presence.on_message(Message(BOB, ALICE, world.clock.now(), "b1"))
    for fact in (Read(ALICE, CAROL, world.clock.now(), "c1"), Bounce(ALICE, CAROL, world.clock.now(), "a1")):
        await world.fact(fact)
        world.clock.run(1)
        assert world.sees(BOB) == "away"
    assert [word for _jid, contact, word in world.server.sent if contact == BOB][-1] == "away"
