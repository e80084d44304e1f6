"""What S3 remembers, on both databases."""

from dataclasses import replace

from component.ledger.engine import Database
from component.ledger.erase import Records
from component.ledger.queue import Queue
from component.rules import hours
from component.rules.distance import Place
from component.rules.presence import Show
from component.virtual.model import CUSTOMER, LINES, Line, Paused, Profile, Record, VirtualUser, WhenOffline
from component.virtual.store import PARTS, Known, SavedConversation, Sent, Store

NOW = 2_000_000_000.0
SHOP = VirtualUser("shop", "The Bookshop ☕", ("nearest", "random"), WhenOffline.BOUNCE, 60.0, 0.0, 30.0, 3, (Show.XA, Show.ONLINE))
ANN = Profile("ann@x.org", 3, Place(52.52, 13.4), hours.parse("Mon-Fri 22:00-06:00 Europe/Berlin"), {"language": "de, en"})
BEN = Profile("desk@x.org/ben")
CAT = SavedConversation(7, "shop", "cat@x.org", "ann@x.org", NOW - 10, NOW, False)
RECORD = Record(11, "shop", "cat@x.org", "ann@x.org", "nearest", NOW - 10, {"desk@x.org/ben": "offline"})


async def filled(database: Database) -> Store:
    store = Store(database)
    await store.load(NOW)
    await store.save_user(SHOP, [(ANN, Paused.NO), (BEN, Paused.UNANSWERED)], "seed")
    store.keep(CAT)
    store.record(RECORD)
    store.touch(RECORD.id, NOW)
    await store.flushed()
    return store


async def test_settings_and_team_are_read_as_they_were_saved(database: Database) -> None:
    await filled(database)
    saved = (await Store(database).load(NOW)).users["shop"]
    assert (saved.settings, saved.seed, saved.shown) == (SHOP, "seed", Show.OFFLINE)
    assert saved.members == {"ann@x.org": (ANN, Paused.NO), "desk@x.org/ben": (BEN, Paused.UNANSWERED)}


async def test_changed_settings_leave_what_subscribers_saw(database: Database) -> None:
    store = await filled(database)
    await store.show("shop", Show.DND)
    await store.save_user(VirtualUser("shop", "New name"), [], None)
    saved = (await store.load(NOW)).users["shop"]
    assert (saved.settings.name, saved.seed, saved.shown, saved.members) == ("New name", None, Show.DND, {})


async def test_conversations_and_records_are_read_as_they_were_noted(database: Database) -> None:
    store = await filled(database)
    saved = await Store(database).load(NOW)
    assert saved.conversations == [CAT]
    assert saved.records == [Known("shop", "cat@x.org", "ann@x.org", 11, NOW)]
    assert await store.latest("shop", "cat@x.org") == RECORD
    assert await store.latest("shop", "dan@x.org") is None


async def test_old_records_are_forgotten(database: Database) -> None:
    store = await filled(database)
    assert (await store.load(NOW + 89 * 86_400)).records
    assert not (await store.load(NOW + 91 * 86_400)).records


async def test_a_conversation_keeps_its_last_lines_while_it_is_open(database: Database) -> None:
    store = await filled(database)
    lines = [Line(number, 7, NOW + number, CUSTOMER, f"{number}") for number in range(50)]
    for line in lines[:10]:
        store.line(line)
    await store.flushed()
    for line in lines[5:]:  # some of them again, as after a crash
        store.line(line)
    assert await store.lines(7) == lines[-LINES:]
    store.forget(7)
    assert await store.lines(7) == []
    assert (await store.load(NOW)).conversations == []


async def test_what_was_sent_is_known_as_long_as_it_is_queued(database: Database) -> None:
    store, queue = await filled(database), Queue(database)
    queued = await queue.put("key", b"<message/>", NOW)
    assert queued is not None
    store.sent(queued, Sent("ann@x.org", 0))
    store.sent(queued, Sent("ann@x.org", 1))
    await store.flushed()
    assert (await store.load(NOW)).sent == {queued: Sent("ann@x.org", 1)}
    await queue.remove([queued])
    assert (await store.load(NOW)).sent == {}


async def test_notes_are_written_in_their_order(database: Database) -> None:
    store = await filled(database)
    store.forget(7)
    store.keep(CAT)
    await store.flushed()
    assert (await store.load(NOW)).conversations == [CAT]
    store.keep(CAT)
    store.forget(7)
    await store.flushed()
    assert (await store.load(NOW)).conversations == []


async def test_subscriptions_and_customers_are_kept(database: Database) -> None:
    store = await filled(database)
    await store.subscribe("shop", "cat@x.org")
    await store.subscribe("shop", "cat@x.org")
    await store.subscribe("shop", "dan@x.org")
    await store.unsubscribe("shop", "dan@x.org")
    await store.watch("shop", "ann@x.org", False)
    await store.watch("shop", "ann@x.org", True)
    await store.save_customer(Profile("cat@x.org", attributes={"language": "de"}), "cat@x.org")
    saved = await store.load(NOW)
    assert saved.subscribers == [("shop", "cat@x.org")]
    assert saved.watched == [("shop", "ann@x.org", True)]
    assert saved.customers == {"cat@x.org": Profile("cat@x.org", attributes={"language": "de"})}
    await store.watch("shop", "ann@x.org", None)
    await store.save_customer(None, "cat@x.org")
    saved = await store.load(NOW)
    assert (saved.watched, saved.customers) == ([], {})


async def test_a_removed_virtual_user_leaves_nothing(database: Database) -> None:
    store = await filled(database)
    store.line(Line(1, 7, NOW, CUSTOMER, "x"))
    await store.subscribe("shop", "cat@x.org")
    await store.watch("shop", "ann@x.org", True)
    await store.remove_user("shop")
    saved = await store.load(NOW)
    assert not any((saved.users, saved.conversations, saved.records, saved.subscribers, saved.watched))
    assert await store.lines(7) == []


async def test_the_key_of_ids_stays_the_same(database: Database) -> None:
    first = (await Store(database).load(NOW)).key
    assert (await Store(database).load(NOW)).key == first


async def test_a_customer_can_have_all_of_it_and_have_it_erased(database: Database) -> None:
    store = await filled(database)
    store.line(Line(1, 7, NOW, CUSTOMER, "a secret"))
    await store.flushed()
    records = Records(database, lambda: None, PARTS)
    export = await records.export("cat@x.org")
    assert [row["text"] for row in export["virtual_lines"]] == ["a secret"]
    assert export.keys() == {"virtual_lines", "virtual_conversations", "virtual_records"}
    await records.erase("cat@x.org")
    assert await records.export("cat@x.org") == {}
    assert await store.lines(7) == []


async def test_of_a_sub_user_what_they_wrote_and_got_is_erased_and_customers_keep_their_conversations(database: Database) -> None:
    store = await filled(database)
    store.line(Line(1, 7, NOW, CUSTOMER, "a question"))
    store.line(Line(2, 7, NOW, "ann@x.org", "an answer"))
    store.record(Record(12, "shop", "dan@x.org", "desk@x.org/ben", "random", NOW, {"ann@x.org": "offline"}))
    queued = await Queue(database).put("cat@x.org shop@r", b"", NOW)
    assert queued is not None
    store.sent(queued, Sent("ann@x.org", 0))
    await store.flushed()
    records = Records(database, lambda: None, PARTS)
    export = await records.export("ann@x.org")
    assert {table: len(rows) for table, rows in export.items()} == {
        "virtual_lines": 1,
        "virtual_members": 1,
        "virtual_conversations": 1,
        "virtual_records": 2,
        "virtual_sent": 1,
    }
    await records.erase("ann@x.org")
    saved = await store.load(NOW)
    assert saved.conversations == [replace(CAT, member=None)]
    assert saved.records == [Known("shop", "dan@x.org", "desk@x.org/ben", 12, NOW)]
    assert saved.sent == {queued: Sent("", 1)}, "the server would drop a second one of the same id"
    assert [line.text for line in await store.lines(7)] == ["a question"]
    newest = await store.latest("shop", "dan@x.org")
    assert newest is not None
    assert newest.considered == {}
    assert (await records.export("ann@x.org")).keys() == {"virtual_members"}, "the configuration names them"
    await records.erase("desk@x.org")
    assert saved.users["shop"].members["desk@x.org/ben"] == (BEN, Paused.UNANSWERED)
    assert (await store.load(NOW)).users["shop"].members["desk@x.org/ben"] == (BEN, Paused.NO)


async def test_a_sub_user_of_a_team_that_was_made_live_leaves_it(database: Database) -> None:
    store = await filled(database)
    await store.save_user(SHOP, [(ANN, Paused.NO), (BEN, Paused.NO)], None)
    await Records(database, lambda: None, PARTS).erase("desk@x.org")
    assert (await store.load(NOW)).users["shop"].members == {"ann@x.org": (ANN, Paused.NO)}
