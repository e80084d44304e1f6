"""The durable queue: stored before it is acted on, once, in order."""

import asyncio

from component.ledger.engine import Database
from component.ledger.facts import Handed, Ledger
from component.ledger.queue import Item, Queue
from component.rules.facts import Message


async def test_what_waits_is_told_oldest_first(database: Database) -> None:
    queue = Queue(database)
    assert await queue.all() == []
    ids = await asyncio.gather(
        *(queue.put(key, payload, at) for key, payload, at in (("a", b"1", 5.0), ("b", b"2", 3.0), ("a", b"\x00\xff", 4.0)))
    )
    items = [
        Item(n, key, at, payload)
        for n, (key, payload, at) in zip(ids, [("a", b"1", 5.0), ("b", b"2", 3.0), ("a", b"\x00\xff", 4.0)], strict=True)
        if n
    ]
    assert len(items) == 3
    assert await queue.all() == items
    assert await queue.waiting("a") == [items[0], items[2]]
    assert await queue.waiting("nobody") == []


async def test_what_is_dealt_with_leaves_and_its_id_is_never_used_again(database: Database) -> None:
    queue = Queue(database)
    first, second = await queue.put("k", b"1", 1.0), await queue.put("k", b"2", 2.0)
    assert first is not None
    assert second is not None
    await queue.remove([second, first])
    await queue.remove([second, 99_999])
    await queue.remove([])
    assert await queue.all() == []
    third = await queue.put("k", b"3", 3.0)
    assert third is not None
    assert third > second > first


async def test_what_is_handed_over_again_is_stored_once(database: Database) -> None:
    queue = Queue(database)
    ledger = await Ledger.open(database)
    told = [await queue.put("k", b"1", 1.0, Handed("e", n)) for n in (1, 1, 2)]
    assert [n is None for n in told] == [False, True, False]
    at_once = await asyncio.gather(*(queue.put("k", b"2", 1.0, Handed("e", n)) for n in (2, 3, 3, 4)))
    assert [n is None for n in at_once] == [True, False, True, False]
    assert await ledger.mark() == Handed("e", 4)
    assert len(await queue.all()) == 4


async def test_queue_and_ledger_share_the_mark(database: Database) -> None:
    queue = Queue(database)
    ledger = await Ledger.open(database)
    await asyncio.gather(
        ledger.record(Message("bob@x", "alice@h", 1.0, "m1"), Handed("e", 1)),
        queue.put("k", b"1", 1.0, Handed("e", 2)),
        ledger.record(Message("bob@x", "alice@h", 2.0, "m2"), Handed("e", 3)),
        queue.put("k", b"2", 1.0, Handed("e", 2)),
        queue.put("k", b"3", 1.0, Handed("e", 4)),
    )
    assert [item.payload for item in await queue.all()] == [b"1", b"3"]
    assert await ledger.unread("alice@h") == {"bob@x": 2}
    assert await ledger.mark() == Handed("e", 4)


async def test_what_waits_is_there_after_a_restart(storage_url: str) -> None:
    database = await Database.open(storage_url)
    put = await Queue(database).put("k", b"1", 1.0)
    await database.close()
    database = await Database.open(storage_url)
    assert put is not None
    assert await Queue(database).all() == [Item(put, "k", 1.0, b"1")]
    await database.close()
