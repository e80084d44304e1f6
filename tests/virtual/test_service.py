"""S3's service on a real database, with a fake server and clock: who gets what, told sentence by sentence of spec/20-virtual.md."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from xml.etree.ElementTree import fromstring

import pytest

from component.commands.model import Refused
from component.ledger.engine import Database
from component.ports import Queued, StanzaError
from component.rules.presence import Show
from component.virtual.conversations import MOST_WAITING
from component.virtual.profiles import FRESH, PATIENCE
from config import settings
from stanzas.jid import bare
from stanzas.namespaces import COMPONENT
from tests.virtual.fakes import DOMAIN, LOCAL, SHOP, Shop, conversation, table

ANN, BEN, CID = "ann@example.org", "ben@example.org", "cid@example.org"
CAT, DAN, EVE = "cat@x.org", "dan@x.org", "eve@x.org"
TEAM = (ANN, BEN, CID)

Open = Callable[..., Awaitable[Shop]]


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = await Database.open(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
def open_shop(database: Database) -> Open:
    """Opens a shop on the test's database: `there` are online."""

    async def opened(*tables: settings.Virtual, there: tuple[str, ...] = (ANN, BEN)) -> Shop:
        return await Shop.opened(database, *(tables or (table(),)), there=there)

    return opened


# --- a message from a customer ---


async def test_a_message_goes_to_one_sub_user_from_the_conversation_address(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    assert shop.got(ANN, conversation(CAT)) == ["hello"]
    assert shop.got(BEN) == []
    assert await shop.queued() == 0


async def test_the_same_customer_comes_back_to_the_same_sub_user(open_shop: Open) -> None:
    shop = await open_shop(table(policy=("random",)))
    for number in range(8):
        await shop.customer(CAT, f"{number}", stanza_id=f"m{number}")
    first = ANN if shop.got(ANN) else BEN
    assert shop.got(first, conversation(CAT)) == [f"{number}" for number in range(8)]


async def test_two_devices_of_a_customer_make_one_conversation(open_shop: Open) -> None:
    shop = await open_shop(table(policy=("round-robin",)))
    await shop.customer(f"{CAT}/phone", "one")
    await shop.customer(f"{CAT}/desk", "two")
    assert shop.got(ANN) == ["one", "two"]


async def test_another_customer_goes_to_whom_the_policy_names(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one")
    await shop.customer(DAN, "two")
    assert (shop.got(ANN), shop.got(BEN)) == (["one"], ["two"])


async def test_after_history_expiry_the_policies_choose_anew(open_shop: Open) -> None:
    shop = await open_shop(table(policy=("least-load",), history_expiry="1h"))
    await shop.customer(CAT, "one")
    await shop.run(1800)
    await shop.customer(DAN, "two")
    await shop.run(1800)
    await shop.customer(CAT, "three")  # ann's conversation is over: she has none, ben has one
    await shop.run(3600)
    await shop.customer(CAT, "four")  # both have none: ben is idle for longer
    assert (shop.got(ANN), shop.got(BEN)) == (["one", "three"], ["two", "four"])


async def test_a_conversation_lasts_as_long_as_there_are_messages(open_shop: Open) -> None:
    shop = await open_shop(table(policy=("round-robin",), history_expiry="1h"))
    for number in range(4):
        await shop.customer(CAT, f"{number}")
        await shop.run(3000)
    assert shop.got(ANN) == ["0", "1", "2", "3"]


async def test_messages_wait_for_somebody_and_the_customer_is_told_once(open_shop: Open) -> None:
    shop = await open_shop(there=())
    await shop.customer(CAT, "one", stanza_id="m1")
    await shop.customer(CAT, "two", stanza_id="m2")
    assert len(shop.got(CAT, SHOP)) == 1
    assert await shop.queued() == 2
    await shop.comes(ANN)
    assert shop.got(ANN) == ["one", "two"]
    assert await shop.queued() == 0


async def test_the_waiting_go_first_and_oldest_first(open_shop: Open) -> None:
    shop = await open_shop(there=())
    await shop.customer(CAT, "c1/1")
    await shop.customer(DAN, "c2/1")
    await shop.customer(CAT, "c1/2")
    await shop.crash()
    await shop.comes(ANN)
    assert shop.got(ANN) == ["c1/1", "c1/2", "c2/1"]
    assert len(shop.got(CAT, SHOP)) == len(shop.got(DAN, SHOP)) == 1


async def test_with_bounce_the_message_comes_back(open_shop: Open) -> None:
    shop = await open_shop(table(when_offline="bounce"), there=())
    await shop.customer(CAT, "one")
    assert shop.errors(f"{CAT}/web") == ["recipient-unavailable"]
    assert await shop.queued() == 0
    await shop.comes(ANN)
    assert shop.got(ANN) == []


async def test_one_who_went_away_is_waited_for(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one")
    await shop.goes(ANN)
    await shop.customer(CAT, "two")
    await shop.run(9)
    assert shop.got(BEN) == []
    await shop.comes(ANN)
    assert shop.got(ANN) == ["one", "two"]


async def test_after_the_grace_what_waits_goes_to_the_next_with_the_last_lines(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one")
    await shop.sub(ANN, CAT, "yes?")
    await shop.goes(ANN)
    await shop.customer(CAT, "two")
    await shop.run(10)
    lines, message = shop.got(BEN, conversation(CAT))
    assert message == "two"
    assert lines.index("one") < lines.index("yes?")
    assert "two" not in lines
    await shop.comes(ANN)
    await shop.customer(CAT, "three")
    assert shop.got(BEN)[-1] == "three"


async def test_nobody_gets_a_new_conversation_past_their_capacity(open_shop: Open) -> None:
    shop = await open_shop(table(members=(), member=({"jid": ANN, "capacity": 2},)), there=(ANN,))
    for number, customer in enumerate((CAT, DAN, EVE)):
        await shop.customer(customer, f"{number}")
    assert shop.got(ANN) == ["0", "1"]
    await shop.customer(CAT, "still mine")
    await shop.sub(ANN, DAN, "/close")
    assert [body for body in shop.got(ANN) if body] == ["0", "1", "still mine", "2"]


async def test_a_chat_state_opens_no_conversation_and_waits_for_nobody(open_shop: Open) -> None:
    shop = await open_shop(there=())
    await shop.says(f"{CAT}/web", SHOP, None, "<active xmlns='http://jabber.org/protocol/chatstates'/>")
    await shop.says(f"{CAT}/web", SHOP, None, "<received xmlns='urn:xmpp:receipts' id='1'/>")
    assert await shop.queued() == 0
    await shop.comes(ANN)
    assert shop.messages(ANN) == []
    assert shop.messages(CAT) == []


async def test_chat_states_and_receipts_go_with_the_conversation(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one")
    await shop.says(f"{CAT}/web", SHOP, None, "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    assert shop.messages(ANN)[-1][0].tag == "{http://jabber.org/protocol/chatstates}composing"
    assert await shop.queued() == 0


async def test_a_sub_user_who_writes_to_the_shop_reaches_a_colleague(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(ANN, "who has the keys?")
    assert shop.got(BEN, conversation(ANN)) == ["who has the keys?"]


async def test_whoever_waits_is_asked_once_and_keeps_their_place(open_shop: Open) -> None:
    shop = await open_shop(table(members=(), member=({"jid": ANN, "capacity": 1},)), there=())
    await shop.customer(CAT, "first")
    await shop.run(FRESH)
    await shop.customer(DAN, "second")
    await shop.comes(ANN)
    assert shop.got(ANN) == ["first"]


async def test_a_customer_whose_server_does_not_answer_waits_no_longer_than_it_is_waited_for(open_shop: Open) -> None:
    shop = await open_shop()
    shop.server.silent.add(CAT)
    async with asyncio.timeout(3 * PATIENCE):
        await shop.customer(CAT, "hello")
    assert shop.got(ANN) == ["hello"]
    shop.virtual.profiles.stop()


async def test_a_member_with_a_resource_gets_it_there(open_shop: Open) -> None:
    shop = await open_shop(table(members=("desk@example.org/ann", "desk@example.org/ben")), there=())
    await shop.comes("desk@example.org/ben")
    await shop.customer(CAT, "hello")
    assert shop.got("desk@example.org/ben") == ["hello"]
    await shop.sub("desk@example.org/ben", CAT, "yes")
    assert shop.got(CAT) == ["yes"]


async def test_a_customer_is_forgotten_by_nobody_over_a_restart(open_shop: Open) -> None:
    shop = await open_shop(table(policy=("round-robin",)))
    await shop.customer(CAT, "one")
    await shop.crash()
    await shop.customer(CAT, "two")
    assert shop.got(ANN) == ["one", "two"]


# --- a message from a sub-user ---


async def test_an_answer_comes_from_the_virtual_user(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, "hi", stanza_id="ann-17")
    assert shop.got(CAT, SHOP) == ["hi"]
    assert "ann" not in (shop.messages(CAT)[-1].get("id") or "")
    assert await shop.queued() == 0


async def test_nobody_else_may_write_there(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    for stranger in ("mallory@example.org/x", f"{CAT}/web"):
        with pytest.raises(Refused):
            await shop.says(stranger, conversation(CAT), "hi")
    assert shop.got(CAT) == []


async def test_another_member_takes_over_and_all_see_it(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.sub(BEN, CAT, "I know this")
    assert shop.got(CAT)[-1] == "I know this"
    assert "ben" in shop.got(ANN, conversation(CAT))[-1]
    assert any("taken over" in body for body in shop.got(BEN, conversation(CAT)))
    assert any("hello" in body for body in shop.got(BEN, conversation(CAT)))
    assert not any("ben" in body or "ann" in body for body in shop.got(CAT))
    await shop.customer(CAT, "thanks")
    assert shop.got(BEN)[-1] == "thanks"
    await shop.says(f"{ANN}/phone", conversation(CAT), None, "<active xmlns='http://jabber.org/protocol/chatstates'/>")
    assert shop.got(CAT)[-1] == "I know this"


async def test_a_lone_chat_state_takes_nothing_over(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.says(f"{BEN}/phone", conversation(CAT), None, "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    assert shop.messages(CAT) == []
    await shop.customer(CAT, "two")
    assert shop.got(ANN) == ["hello", "two"]


# --- slash commands ---


async def test_transfer_hands_the_conversation_over(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, "/transfer ben")
    await shop.customer(CAT, "anybody?")
    assert "hello" in shop.got(BEN, conversation(CAT))[0]
    assert shop.got(BEN)[-1] == "anybody?"
    assert shop.got(ANN) == ["hello"]
    assert shop.got(CAT) == []


@pytest.mark.parametrize("name", [BEN, "ben", "BEN"])
async def test_transfer_takes_a_jid_or_a_local_part(open_shop: Open, name: str) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, f"/transfer {name}")
    await shop.customer(CAT, "two")
    assert shop.got(BEN)[-1] == "two"


@pytest.mark.parametrize("name", ["nobody", "cid", "ann", ""])
async def test_transfer_to_one_who_is_not_there_is_refused_with_who_is(open_shop: Open, name: str) -> None:
    shop = await open_shop(table(members=TEAM))
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, f"/transfer {name}")
    if name != "ann":
        assert BEN in shop.got(f"{ANN}/phone")[-1]
    await shop.customer(CAT, "two")
    assert shop.got(ANN) == ["hello", "two"]
    assert shop.got(CAT) == []


async def test_whoever_follows_one_whom_the_file_names_no_more_has_the_last_lines(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    shop.tables = (table(members=(BEN,)),)
    for _ in range(2):
        await shop.crash()
    await shop.customer(CAT, "anybody?")
    lines, message = shop.got(BEN, conversation(CAT))
    assert ("hello" in lines, message) == (True, "anybody?")


async def test_transfer_past_the_capacity_is_refused(open_shop: Open) -> None:
    shop = await open_shop(table(members=(ANN,), member=({"jid": BEN, "capacity": 1},)))
    await shop.customer(CAT, "one")
    await shop.customer(DAN, "two")
    await shop.sub(ANN, CAT, "/transfer ben")
    assert "no more" in shop.got(f"{ANN}/phone")[-1]


async def test_close_ends_it_and_the_lines_are_forgotten(open_shop: Open) -> None:
    shop = await open_shop(table(policy=("least-load",)))
    await shop.customer(CAT, "secret")
    await shop.sub(ANN, CAT, "/close")
    assert "Closed" in shop.got(f"{ANN}/phone")[-1]
    await shop.customer(CAT, "again")
    await shop.sub(BEN, CAT, "mine")
    assert not any("secret" in body for body in shop.got(BEN))


async def test_who_why_note_and_help_answer_the_sub_user_alone(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, "/who")
    assert ANN in shop.got(f"{ANN}/phone")[-1]
    await shop.sub(ANN, CAT, "/why")
    assert "chosen by" in shop.got(f"{ANN}/phone")[-1]
    assert BEN in shop.got(f"{ANN}/phone")[-1]
    await shop.sub(ANN, CAT, "/note wants a refund")
    await shop.sub(ANN, CAT, "/help")
    assert "/transfer" in shop.got(f"{ANN}/phone")[-1]
    await shop.sub(ANN, CAT, "/transfer ben")
    assert "wants a refund" in shop.got(BEN, conversation(CAT))[0]
    assert shop.got(CAT) == []


async def test_an_unknown_command_is_answered_and_never_sent_on(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, "/transfr ben")
    assert "/transfer" in shop.got(f"{ANN}/phone")[-1]
    assert shop.got(CAT) == []


async def test_two_slashes_send_one_and_me_is_no_command(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, "//transfer ben")
    await shop.sub(ANN, CAT, "/me waves")
    assert shop.got(CAT) == ["/transfer ben", "/me waves"]


# --- if it fails ---


async def test_an_error_sends_the_message_to_the_next(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one", stanza_id="a")
    await shop.customer(CAT, "two", stanza_id="b")
    await shop.returns(ANN, CAT, "a")
    await shop.returns(ANN, CAT, "b")
    assert [body for body in shop.got(BEN) if "Its last lines" not in body] == ["one", "two"]
    assert shop.got(CAT) == []
    assert shop.errors(f"{CAT}/web") == []


async def test_messages_that_come_back_keep_their_order(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello", stanza_id="m0")
    returned: list[str] = []
    bodies = [f"{number}" for number in range(20)]

    def back(stanza: object) -> None:
        """The server returns what goes to ann, as it takes it."""
        message = shop.server.stanzas[-1][0]
        if message.get("to") == ANN and message.get("type") == "chat":
            returned.append(message.get("id") or "")

    shop.server.on_send = back
    for number, body in enumerate(bodies):
        await shop.customer(CAT, body, stanza_id=f"x{number}")
    for stanza_id in returned:
        await shop.returns(ANN, CAT, stanza_id)
    assert [body for body in shop.got(BEN) if "Its last lines" not in body] == bodies


async def test_it_goes_round_once_at_most(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one")
    await shop.returns(ANN, CAT)
    await shop.returns(BEN, CAT)
    assert len(shop.got(ANN)) == 1
    assert len(shop.got(CAT, SHOP)) == 1
    await shop.comes(f"{ANN}/desk")
    await shop.goes(f"{ANN}/desk")
    await shop.goes(ANN)
    await shop.comes(ANN)
    assert shop.got(ANN)[-1] == "one"


async def test_with_bounce_it_comes_back_to_the_customer_in_the_end(open_shop: Open) -> None:
    shop = await open_shop(table(when_offline="bounce"))
    await shop.customer(CAT, "one")
    await shop.returns(ANN, CAT)
    await shop.returns(BEN, CAT)
    assert shop.errors(f"{CAT}/web") == ["recipient-unavailable"]
    assert await shop.queued() == 0


async def test_an_error_of_a_stranger_moves_nothing(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one")
    await shop.returns("mallory@example.org", CAT)
    await shop.returns(BEN, CAT)
    assert shop.got(BEN) == []


async def test_an_unanswered_customer_goes_to_the_next(open_shop: Open) -> None:
    shop = await open_shop(table(answer_within="1m"))
    await shop.customer(CAT, "one")
    await shop.run(59)
    assert shop.got(BEN) == []
    await shop.run(1)
    assert shop.got(BEN)[-1] == "one"
    await shop.run(60)
    assert shop.got(ANN) == ["one"]
    await shop.customer(CAT, "two")
    assert shop.got(BEN)[-1] == "two"


async def test_when_all_let_a_customer_go_by_what_comes_next_begins_another_round(open_shop: Open) -> None:
    shop = await open_shop(table(answer_within="1m"))
    await shop.customer(CAT, "one")
    await shop.run(120)
    await shop.customer(CAT, "two")
    assert (shop.got(ANN), shop.got(BEN)[-1]) == (["one"], "two")
    await shop.run(60)
    assert shop.got(ANN)[-1] == "two"
    assert await shop.queued() == 1
    await shop.run(60)
    assert await shop.queued() == 0


async def test_an_answer_in_time_keeps_the_customer(open_shop: Open) -> None:
    shop = await open_shop(table(answer_within="1m"))
    await shop.customer(CAT, "one")
    assert await shop.queued() == 1
    await shop.run(30)
    await shop.sub(ANN, CAT, "yes")
    assert await shop.queued() == 0
    await shop.run(120)
    assert shop.got(BEN) == []


async def test_what_is_not_answered_goes_on_after_a_crash_too(open_shop: Open) -> None:
    shop = await open_shop(table(answer_within="1m"))
    await shop.customer(CAT, "one")
    await shop.crash()
    assert shop.got(ANN) == ["one"]
    await shop.run(60)
    assert shop.got(BEN)[-1] == "one"


async def test_a_sub_user_who_let_customers_go_by_is_paused_and_told(open_shop: Open) -> None:
    shop = await open_shop(table(answer_within="1m", auto_pause=2, policy=("latest",)))
    await shop.customer(CAT, "one")
    await shop.run(60)
    await shop.sub(BEN, CAT, "/close")
    await shop.customer(DAN, "two")
    await shop.run(60)
    assert len(shop.got(ANN, SHOP)) == 1
    await shop.customer(EVE, "three")
    assert shop.got(BEN)[-1] == "three"
    await shop.sub(ANN, DAN, "sorry, I was at lunch")
    await shop.customer("fay@x.org", "four")
    assert shop.got(ANN)[-1] == "four"


# --- nothing lost, nothing doubled ---


async def test_what_the_server_did_not_take_is_sent_again_when_it_is_back(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "one")
    shop.server.up = False
    shop.virtual.on_down()
    await shop.customer(CAT, "two")
    await shop.sub(ANN, CAT, "answer")
    assert await shop.queued() == 2
    shop.server.up = True
    shop.virtual.on_ready("example.org")
    await shop.settle()
    assert (shop.got(ANN), shop.got(CAT)) == (["one", "two"], ["answer"])
    assert await shop.queued() == 0


async def test_a_crash_at_any_moment_loses_and_doubles_nothing(open_shop: Open) -> None:
    shop = await open_shop(table(policy=("round-robin",)), there=())
    await shop.customer(CAT, "one", stanza_id="1")
    await shop.crash()
    await shop.comes(ANN)
    await shop.crash()
    await shop.customer(CAT, "two", stanza_id="2")
    await shop.crash()
    await shop.comes(BEN)
    await shop.customer(CAT, "three", stanza_id="3")
    assert shop.got(ANN) == ["one", "two", "three"]
    assert len(shop.got(CAT)) == 1


async def test_a_burst_stays_in_order_at_one_sub_user(open_shop: Open) -> None:
    shop = await open_shop()
    bodies = [f"{number}" for number in range(200)]
    for number, body in enumerate(bodies):
        await shop.customer(CAT, body, stanza_id=f"m{number}")
    assert shop.got(ANN) == bodies


# --- names and status ---


async def test_a_message_that_is_too_large_comes_back_and_holds_up_no_other(open_shop: Open) -> None:
    shop = await open_shop()
    shop.server.largest = 1_000
    for body in ("one", "x" * 1_000, "two"):
        await shop.customer(CAT, body)
    assert shop.got(ANN) == ["one", "two"]
    for body in ("three", "x" * 1_000, "four"):
        await shop.sub(ANN, CAT, body)
    assert shop.got(CAT, SHOP) == ["three", "four"]
    assert (shop.errors(f"{CAT}/web"), shop.errors(f"{ANN}/phone")) == (["resource-constraint"], ["resource-constraint"])
    assert await shop.queued() == 0


async def test_so_it_is_with_what_was_written_while_the_stream_was_down(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.customer(CAT, "hello")
    shop.server.largest = 1_000
    shop.server.up = False
    shop.virtual.on_down()
    for body in ("one", "x" * 1_000, "two"):
        await shop.sub(ANN, CAT, body)
        await shop.customer(CAT, body)
    shop.server.up = True
    shop.virtual.on_ready(LOCAL)
    await shop.settle()
    assert (shop.got(CAT, SHOP), shop.got(ANN)) == (["one", "two"], ["hello", "one", "two"])
    assert (shop.errors(f"{CAT}/web"), shop.errors(f"{ANN}/phone")) == (["resource-constraint"], ["resource-constraint"])
    assert await shop.queued() == 0


async def test_what_is_returned_while_the_stream_is_down_is_returned_when_it_is_back(open_shop: Open) -> None:
    shop = await open_shop(there=())
    await shop.customer(CAT, "hello")
    shop.server.up = False
    shop.virtual.on_down()
    shop.virtual.conversations.end_all(shop.virtual.teams["shop"])
    assert shop.errors(f"{CAT}/web") == []
    shop.server.up = True
    shop.delivery.on_link()
    await shop.settle()
    assert shop.errors(f"{CAT}/web") == ["item-not-found"]
    assert await shop.queued() == 0


async def test_what_came_while_rapport_was_away_is_all_taken_and_more_is_returned(open_shop: Open) -> None:
    shop = await open_shop(there=())
    address = shop.address(SHOP)
    for number in range(MOST_WAITING + 1):
        stanza = fromstring(f"<message xmlns='{COMPONENT}' from='{CAT}/web' to='{SHOP}' type='chat'><body>{number}</body></message>")
        queued = Queued(number, stanza, shop.clock.now())
        if number < MOST_WAITING:
            assert not await shop.virtual.message(address, queued)
        else:
            with pytest.raises(StanzaError, match="resource-constraint"):
                await shop.virtual.message(address, queued)
    await shop.comes(ANN)
    assert shop.got(ANN) == [f"{number}" for number in range(MOST_WAITING)]


async def test_subscribers_see_the_team_as_one(open_shop: Open) -> None:
    shop = await open_shop(there=())
    await shop.presence(CAT, SHOP, "subscribe")
    assert shop.presences(CAT) == [(SHOP, "subscribed"), (f"{SHOP}/rapport", "unavailable")]
    for jid, show, seen in (
        (ANN, Show.AWAY, "away"),
        (BEN, Show.DND, "dnd"),
        (f"{ANN}/desk", Show.CHAT, "online"),
        (f"{BEN}/desk", Show.ONLINE, "online"),
    ):
        await shop.comes(jid, show)
        assert shop.presences(CAT)[-1] == (f"{SHOP}/rapport", seen)
    assert len(shop.presences(CAT)) == 5
    for jid, seen in ((f"{BEN}/desk", "online"), (f"{ANN}/desk", "dnd"), (BEN, "away"), (ANN, "unavailable")):
        await shop.goes(jid)
        assert shop.presences(CAT)[-1] == (f"{SHOP}/rapport", seen)
    assert len(shop.presences(CAT)) == 8


async def test_subscriptions_do_not_ping_pong(open_shop: Open) -> None:
    shop = await open_shop()
    for kind in ("subscribe", "subscribe", "subscribed", "subscribed"):
        await shop.presence(CAT, SHOP, kind)
    assert [kind for _, kind in shop.presences(CAT)] == ["subscribed", "online", "subscribed"]
    await shop.presence(CAT, SHOP, "unsubscribe")
    assert shop.presences(CAT)[-1] == (f"{SHOP}/rapport", "unavailable")
    seen = len(shop.presences(CAT))
    await shop.goes(ANN)
    await shop.goes(BEN)
    assert len(shop.presences(CAT)) == seen


async def test_a_probe_of_a_stranger_tells_no_status(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.presence(f"{CAT}/web", SHOP, "probe")
    assert [kind for _, kind in shop.presences(CAT)] == ["unsubscribed"]


async def test_a_probe_of_a_subscriber_is_answered_after_a_restart_too(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.presence(CAT, SHOP, "subscribe")
    await shop.crash()
    before = len(shop.presences(CAT))
    await shop.presence(f"{CAT}/web", SHOP, "probe")
    assert shop.presences(CAT)[before:] == [(f"{SHOP}/rapport", "online")]


async def test_remote_sub_users_are_known_by_subscription(open_shop: Open) -> None:
    shop = await open_shop(table(members=("ann@far.net",)), there=())
    assert shop.presences("ann@far.net") == [(SHOP, "subscribe")]
    await shop.presence("ann@far.net", SHOP, "subscribed")
    await shop.presence("ann@far.net/home", SHOP, None, "away")
    await shop.customer(CAT, "hello")
    assert shop.got("ann@far.net") == ["hello"]
    await shop.presence("ann@far.net/home", SHOP, "unavailable")
    await shop.presence("ann@far.net", SHOP, "probe")
    await shop.customer(DAN, "two")
    assert shop.got("ann@far.net") == ["hello"]


async def test_who_of_those_elsewhere_is_there_is_waited_for_after_a_start_but_not_for_long(open_shop: Open) -> None:
    zoe = "zoe@y.org"
    shop = await open_shop(table(members=(zoe,)))
    await shop.presence(CAT, SHOP, "subscribe")
    await shop.presence(zoe, SHOP, "subscribed")
    await shop.presence(f"{zoe}/home", SHOP, None)
    await shop.crash()
    await shop.customer(DAN, "hello")
    await shop.run(4)
    assert (shop.presences(CAT)[-1][1], shop.got(DAN)) == ("online", [])
    await shop.run(1)
    assert shop.presences(CAT)[-1][1] == "unavailable"
    assert len(shop.got(DAN)) == 1
    await shop.presence(f"{zoe}/home", SHOP, None)
    assert (shop.presences(CAT)[-1][1], shop.got(zoe)) == ("online", ["hello"])


async def test_a_remote_sub_user_whom_the_file_names_no_more_is_watched_no_more(open_shop: Open) -> None:
    zoe = "zoe@y.org"
    shop = await open_shop(table(members=(ANN, zoe)))
    await shop.presence(zoe, SHOP, "subscribed")
    shop.tables = (table(members=(ANN,)),)
    await shop.crash()
    assert shop.presences(zoe)[-1] == (SHOP, "unsubscribe")
    await shop.crash()
    assert shop.presences(zoe).count((SHOP, "unsubscribe")) == 1


async def test_a_community_may_have_the_name_of_a_virtual_user_that_the_file_has_no_more(open_shop: Open) -> None:
    shop = await open_shop(table(node="help", name="Help Desk"))
    shop.tables, shop.taken = (), ("help",)
    await shop.crash()
    assert shop.virtual.items() == []


async def test_what_went_to_a_remote_sub_user_is_kept_until_no_error_can_come(open_shop: Open) -> None:
    shop = await open_shop(table(members=("ann@far.net", BEN), policy=("latest",)), there=())
    await shop.presence("ann@far.net", SHOP, "subscribed")
    await shop.presence("ann@far.net/home", SHOP, None)
    await shop.customer(CAT, "hello")
    assert await shop.queued() == 1
    await shop.crash()
    assert shop.got("ann@far.net") == ["hello"]
    await shop.comes(BEN)
    await shop.returns("ann@far.net", CAT)
    assert shop.got(BEN)[-1] == "hello"
    assert await shop.queued() == 0


async def test_ours_is_sent_only_from_addresses_at_our_domain(open_shop: Open) -> None:
    shop = await open_shop()
    await shop.presence(CAT, SHOP, "subscribe")
    await shop.customer(CAT, "hello")
    await shop.sub(ANN, CAT, "hi")
    await shop.sub(ANN, CAT, "/transfer ben")
    assert {bare(stanza.get("from", "")).rpartition("@")[2] for stanza, _ in shop.server.stanzas} == {DOMAIN}
