"""Faults known from the field: what counts as one message, as none, as read (cases A7, A8, A9, A10, A11, A22)."""

import asyncio
import json
import re
import time

import pytest
from rig import commands, xml
from rig.scene import Scene
from rig.server import Host, friends
from rig.wait import eventually

TELLING = {"talking": "online", "unanswered": "away", "busy": "dnd", "free": "xa"}
# The score is then the number of messages, both ways.
TOTAL = {"levels": {"balance": "total"}}


async def score(s: Scene, contact: str, name: str = "alice") -> float:
    """The score in the row of a contact in the `levels` table, to one place."""
    rows = dict((await commands.run(s[name], "levels")).rows)
    found = re.search(r"score\D*(\d+(?:\.\d+)?)", rows[contact])
    assert found, rows
    return round(float(found[1]), 1)


async def scores(s: Scene, contact: str, wanted: float, name: str = "alice") -> None:
    """Wait until all that was written is counted: the score is that, and stays it for a round trip."""

    async def reached() -> bool:
        return await score(s, contact, name) == wanted

    await eventually(reached, what=f"a score of {wanted} for {contact}", every=0.05)
    await s.settled()
    assert await score(s, contact, name) == wanted


async def test_a_message_that_comes_by_several_ways_counts_once(scene, client):
    s = await scene("alice/a", "bob", "carol", settings=TOTAL)
    others = [await client(s.server, f"alice@localhost/{resource}") for resource in ("b", "c")]
    for session in (s["alice"], *others):
        await session.carbons()
    await s.set_rules()
    await s["bob"].message("alice@localhost", "hello", id="m1")
    await s["carol"].sees("alice@localhost", "dnd")
    for _ in range(2):
        await scores(s, "bob@localhost", 1)
        imported = await s.rapport.cli("import-archive", "alice@localhost", "bob@localhost")
        assert imported.returncode == 0, imported.stderr
        await scores(s, "bob@localhost", 1)
        await s.rapport.restart()
    await s["alice"].until(lambda: s["alice"].bodies("bob@localhost"))
    await s["alice"].displayed("bob@localhost", "m1")
    await s["carol"].sees("alice@localhost", "online")


async def test_messages_without_id_and_type_count_each(scene):
    s = await scene("alice", "bob", "ann", settings=TOTAL | {"virtual": [{"node": "shop", "name": "Shop", "members": ["ann@localhost"]}]})
    await s.set_rules()
    for _ in range(2):
        sent = time.time()
        await s["bob"].message("alice@localhost", "ok", id=None, type=None)
        await s["ann"].sees("alice@localhost", "dnd")
        await s["bob"].nothing(lambda stanza: stanza.get("type") == "error", during=max(0.0, sent + 1 - time.time()))
    await scores(s, "bob@localhost", 2)
    await s["bob"].message("shop@rapport.localhost", "ok", id=None, type=None)
    await s["ann"].until(lambda: s["ann"].bodies(r"bob\40localhost%shop@rapport.localhost") == ["ok"])


OLD = [
    "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>",
    "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T01:00:00+01:00'/>",
    "<x xmlns='jabber:x:delay' stamp='20200101T00:00:00'/>",
]
UNREADABLE = ["<delay xmlns='urn:xmpp:delay' stamp='yesterday'/>", "<delay xmlns='urn:xmpp:delay'/>"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
async def test_old_messages_count_for_nothing_and_unreadable_stamps_stop_nothing(make_server, rapport, client, zone):
    server = await make_server()
    s = Scene(server, await rapport(server, TOTAL, env={"TZ": zone}), client)
    await s.enter("alice", "bob", "carol")
    await s.set_rules(**TELLING)
    bob = s["bob"]
    await bob.sees("alice@localhost", "xa")
    for delay in OLD:
        await bob.message("alice@localhost", "long ago", delay)
    await s.settled("bob")
    await s.settled("alice")
    assert bob.shows("alice@localhost") == {"phone": "xa"}
    await scores(s, "bob@localhost", 0)
    # "One that can't be read" is not believed: the message counts as of its arrival.
    for delay in UNREADABLE:
        await bob.message("alice@localhost", "some day", delay)
    await bob.message("alice@localhost", "now")
    await bob.sees("alice@localhost", "away")
    await s["carol"].sees("alice@localhost", "dnd")
    await scores(s, "bob@localhost", 3)


CORRECTION = "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>"


async def test_a_correction_is_no_new_unread_message(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["bob"].message("alice@localhost", "helo", id="m1")
    await s["carol"].sees("alice@localhost", "dnd")
    await s["bob"].message("alice@localhost", "hello", CORRECTION, id="m2")
    await s["alice"].until(lambda: "hello" in s["alice"].bodies("bob@localhost"))
    await s["alice"].displayed("bob@localhost", "m1")
    await s["carol"].sees("alice@localhost", "online")
    start = s["carol"].mark()
    await s["bob"].message("alice@localhost", "hello!", CORRECTION, id="m3")
    await s.settled("bob")
    await s.settled("alice")
    assert s["carol"].saw("alice@localhost", start) == []


async def test_a_correction_is_activity_of_its_sender(scene):
    s = await scene("alice", "bob")
    await s.set_rules(**TELLING, received_window="2s", unread_max_age="1s")
    bob = s["bob"]
    await bob.message("alice@localhost", "helo", id="m1")
    await bob.sees("alice@localhost", "away")
    await bob.nothing(lambda stanza: xml.show(stanza) == "xa", during=1)
    corrected = time.time()
    await bob.message("alice@localhost", "hello", CORRECTION, id="m2")
    await bob.sees("alice@localhost", "xa", within=6)
    assert bob.arrived(bob.presences("alice@localhost")[-1]) >= corrected + 2


async def three_unread(scene) -> Scene:
    s = await scene("alice", "bob", "carol", "dora")
    await s.set_rules()
    for number in (1, 2, 3):
        await s["bob"].message("alice@localhost", f"message {number}", id=f"m{number}")
    await s["dora"].sees("alice@localhost", "dnd")
    await s["alice"].until(lambda: len(s["alice"].bodies("bob@localhost")) == 3)
    return s


async def test_a_marker_that_names_nothing_or_another_conversations_message_reads_nothing(scene):
    s = await three_unread(scene)
    await s["alice"].displayed("bob@localhost", "m_invented")
    other = await s["carol"].message("alice@localhost", "something else")
    await s["alice"].until(lambda: s["alice"].bodies("carol@localhost"))
    await s["alice"].message("carol@localhost", "read")
    await s["alice"].displayed("bob@localhost", other)
    await s.settled()
    assert s["dora"].shows("alice@localhost") == {"phone": "dnd"}
    await s["alice"].displayed("bob@localhost", "m2")
    await s.settled()
    assert s["dora"].shows("alice@localhost") == {"phone": "dnd"}
    hints = "<no-copy xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/>"
    await s["alice"].displayed("bob@localhost", "m3", hints)
    await s["dora"].sees("alice@localhost", "online")


async def test_an_answer_from_another_device_reads(scene, client):
    s = await three_unread(scene)
    phone = await client(s.server, "alice@localhost/other")
    await phone.message("bob@localhost", "I am here")
    await s["dora"].sees("alice@localhost", "online")


@pytest.mark.parametrize("count", [0, 1, 50, 100, 101])
async def test_an_archive_of_any_length_is_imported_once(make_server, rapport, client, count):
    server = await make_server([Host(users=friends("alice", "bob"))], module=False)
    writer = await client(server, "bob@localhost/phone")
    for number in range(count):
        await writer.message("alice@localhost", f"message {number}")
    await writer.ping()
    await writer.close()
    server.module = True
    await server.restart()
    s = Scene(server, await rapport(server, TOTAL), client)
    await s.enter("alice", "bob")
    for _ in range(2):
        done = await s.rapport.cli("import-archive", "alice@localhost")
        assert done.returncode == 0, done.stderr
        await scores(s, "bob@localhost", count)


async def test_what_is_written_during_an_import_counts_once(make_server, rapport, client):
    server = await make_server([Host(users=friends("alice", "bob"))], module=False)
    writer = await client(server, "bob@localhost/phone")
    for number in range(100):
        await writer.message("alice@localhost", f"message {number}")
    await writer.ping()
    await writer.close()
    server.module = True
    await server.restart()
    s = Scene(server, await rapport(server, TOTAL), client)
    await s.enter("alice", "bob")

    async def live() -> int:
        for number in range(20):
            await s["bob"].message("alice@localhost", f"live {number}")
            await s["bob"].ping()
        return 20

    done, written = await asyncio.gather(s.rapport.cli("import-archive", "alice@localhost"), live())
    assert done.returncode == 0, done.stderr
    await s.settled("bob")
    await scores(s, "bob@localhost", 100 + written)
    again = await s.rapport.cli("import-archive", "alice@localhost")
    assert again.returncode == 0
    await scores(s, "bob@localhost", 100 + written)


async def test_what_is_said_in_a_room_counts_for_nobody_and_its_text_is_not_kept(scene):
    """Spec: overview, What counts as a message (type chat or normal), and The ledger (no message text)."""
    s = await scene("alice", "bob", settings=TOTAL, rooms=True)
    await s.set_rules()
    room = "talk@conference.localhost"
    for name in ("alice", "bob"):
        await s[name].presence(to=f"{room}/{name}", extra="<x xmlns='http://jabber.org/protocol/muc'/>")
        await s[name].until(lambda name=name: s[name].presences(f"{room}/{name}"))
    before = s["bob"].mark()
    await s["alice"].message(room, "bob: zanzibar", type="groupchat")
    said = await s["bob"].expect(lambda stanza: xml.body(stanza) == "bob: zanzibar")
    archived = xml.child(said, "stanza-id", "urn:xmpp:sid:0").get("id")
    await s["bob"].message(room, extra=f"<displayed xmlns='{xml.MARKERS}' id='{archived}'/>", type="groupchat")

    published = await s["bob"].iq(
        "set",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:mds:displayed:0'>"
        f"<item id='{room}'><displayed xmlns='urn:xmpp:mds:displayed:0'>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' id='{archived}' by='{room}'/></displayed></item></publish></pubsub>",
    )
    assert published.get("type") == "result"

    async def kept() -> list[tuple[str, str, str, str | None]]:
        export = json.loads((await s.rapport.cli("admin", "export", "bob@localhost")).stdout)
        return [(row["what"], row["sender"], row["recipient"], row["kind"]) for row in export["records"].get("facts", ())]

    async def has_come() -> bool:
        return len(await kept()) == 3

    await eventually(has_come, what="all three facts")
    read = ("room_read", room, "bob@localhost", None)  # by marker, and by read state
    assert await kept() == [("named", room, "bob@localhost", "mention"), read, read]
    await scores(s, "bob@localhost", 0)
    assert s["bob"].saw("alice@localhost", before) == []
    assert not [file.name for file in s.rapport.dir.iterdir() if file.is_file() and b"zanzibar" in file.read_bytes()]
    assert "zanzibar" not in "".join(s.rapport.log_lines())
    listed = await s.rapport.cli("admin", "users")
    assert room not in listed.stdout
