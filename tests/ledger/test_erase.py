"""What is known of one user: told in full, and forgotten in full."""

import base64
import json

import pytest
from sqlalchemy import Column, MetaData, String, Table, select

from component.ledger.engine import Database
from component.ledger.erase import JSON, Records, by_columns
from component.ledger.facts import Ledger
from component.ledger.mark import Handed
from component.ledger.queue import Queue
from component.rules.facts import ArchiveId, Bounce, Kind, Message, Read, RoomMessage, RoomRead

ALICE, BOB, CAROL = "alice@h", "bob@x", "carol@h"
NOTES = Table(
    "test_notes",
    MetaData(),
    Column("owner", String, primary_key=True),
    Column("about", String, primary_key=True),
    Column("words", String, nullable=False, server_default='["a", "b"]', info=JSON),
)


async def filled(database: Database, ledger: Ledger) -> Records:
    await ledger.record_all(
        [
            Message(BOB, ALICE, 1.0, "m1"),
            Message(ALICE, BOB, 2.0, "m2"),
            Read(BOB, ALICE, 3.0, "m2"),
            Bounce(ALICE, BOB, 4.0, "m2"),
            Message(BOB, CAROL, 5.0, "m3"),
        ]
    )
    queue = Queue(database)
    for key in (ALICE, f"{ALICE} shop@r", f"x@y {ALICE}", "x@y alice\\40h@r", "x@y alice\\40h%shop@r", f"m{ALICE} shop@r", f"{BOB} shop@r"):
        await queue.put(key, b"<message/>", 6.0)
    await database.write(NOTES.create)
    await database.write(
        lambda connection: connection.execute(
            NOTES.insert(), [{"owner": ALICE, "about": BOB}, {"owner": CAROL, "about": ALICE}, {"owner": CAROL, "about": BOB}]
        )
    )
    return Records(database, ledger.forget, [by_columns(NOTES, NOTES.c.owner, NOTES.c.about, resources=True)])


async def test_all_that_is_known_of_a_user_is_told_by_table(database: Database, ledger: Ledger) -> None:
    known = await (await filled(database, ledger)).export(ALICE)
    assert json.loads(json.dumps(known)) == known
    assert {table: len(rows) for table, rows in known.items()} == {"facts": 4, "pairs": 2, "scores": 2, "queue": 5, "test_notes": 2}
    assert [(row["what"], row["kind"], row["sender"], row["recipient"], row["at"]) for row in known["facts"]] == [
        ("message", "direct", BOB, ALICE, 1.0),
        ("message", "direct", ALICE, BOB, 2.0),
        ("read", None, ALICE, BOB, 3.0),
        ("bounce", None, ALICE, BOB, 4.0),
    ]
    assert base64.b64decode(known["queue"][0]["payload"]) == b"<message/>"


async def test_so_is_what_was_said_and_read_in_rooms(database: Database, ledger: Ledger) -> None:
    room = "talk@rooms.h"
    said = RoomMessage(BOB, room, 1.0, "m1", ArchiveId(room, "a1"), Kind.FILE, ((ALICE, Kind.MENTION), (CAROL, Kind.REPLY)))
    await ledger.record_all([said, RoomRead(ALICE, room, 2.0, "a1"), RoomMessage(ALICE, room, 3.0, "m2")])
    records = Records(database, ledger.forget)
    assert [(row["what"], row["kind"], row["sender"], row["recipient"], row["at"]) for row in (await records.export(ALICE))["facts"]] == [
        ("named", "mention", room, ALICE, 1.0),
        ("room_read", None, room, ALICE, 2.0),
        ("room", "group", ALICE, room, 3.0),
    ]
    await records.erase(ALICE)
    assert await records.export(ALICE) == {}
    assert [row["what"] for row in (await records.export(CAROL))["facts"]] == ["named"]
    assert [(row["what"], row["kind"], row["recipient_archive"]) for row in (await records.export(BOB))["facts"]] == [
        ("room", "file", "a1")
    ]


async def test_of_a_stranger_nothing_is_known(database: Database, ledger: Ledger) -> None:
    records = await filled(database, ledger)
    assert await records.export("nobody@h") == {}
    await records.erase("nobody@h")
    assert len((await records.export(ALICE))["facts"]) == 4


async def test_a_user_is_forgotten_and_the_others_are_not(database: Database, ledger: Ledger) -> None:
    records = await filled(database, ledger)
    await records.erase(ALICE)
    assert await records.export(ALICE) == {}
    assert await ledger.pairs(ALICE) == []
    assert await ledger.unread(CAROL) == {BOB: 1}
    left = await records.export(BOB)
    assert {table: len(rows) for table, rows in left.items()} == {"facts": 1, "pairs": 1, "scores": 1, "queue": 1, "test_notes": 1}
    assert await database.read(lambda connection: len(connection.execute(select(NOTES)).all())) == 1


async def test_a_forgotten_user_begins_anew(database: Database, ledger: Ledger) -> None:
    records = await filled(database, ledger)
    await records.erase(ALICE)
    await ledger.record(Message(BOB, ALICE, 9.0, "m9"))
    assert await ledger.unread(ALICE) == {BOB: 1}
    assert len((await records.export(ALICE))["facts"]) == 1


async def test_rows_with_a_full_jid_are_the_users_too(database: Database, ledger: Ledger) -> None:
    records = await filled(database, ledger)
    full = [{"owner": f"{ALICE}/phone", "about": BOB}, {"owner": "alice@h.org", "about": BOB}]
    await database.write(lambda connection: connection.execute(NOTES.insert(), full))
    assert {row["owner"] for row in (await records.export(ALICE))["test_notes"]} == {ALICE, CAROL, f"{ALICE}/phone"}
    assert (await records.users())[ALICE]["test_notes"] == 3
    await records.erase(ALICE)
    assert await records.export("alice@h.org") == {"test_notes": [{**full[1], "words": ["a", "b"]}]}


async def test_it_is_told_of_whom_something_is_kept_and_how_much(database: Database, ledger: Ledger) -> None:
    users = await (await filled(database, ledger)).users()
    assert users == {
        ALICE: {"facts": 4, "scores": 2, "pairs": 2, "test_notes": 2},
        BOB: {"facts": 5, "scores": 3, "pairs": 3, "test_notes": 2},
        CAROL: {"facts": 1, "scores": 1, "pairs": 1, "test_notes": 2},
    }


async def test_a_deleted_account_is_erased_in_the_order_of_the_link_and_once(database: Database, ledger: Ledger) -> None:
    records = await filled(database, ledger)
    await ledger.acknowledge(Handed("run", 1))
    await records.erase(ALICE, Handed("run", 2))
    assert await ledger.mark() == Handed("run", 2)
    await ledger.record(Message(BOB, ALICE, 9.0, "m9"), Handed("run", 3))
    await records.erase(ALICE, Handed("run", 2))
    assert await ledger.unread(ALICE) == {BOB: 1}, "of the account that came after"
    assert await ledger.mark() == Handed("run", 3)


async def test_a_table_is_named_once(database: Database) -> None:
    with pytest.raises(ValueError, match="table test_notes is named twice"):
        Records(database, lambda: None, [by_columns(NOTES, NOTES.c.owner), by_columns(NOTES, NOTES.c.about)])
