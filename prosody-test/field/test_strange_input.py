"""Faults known from the field: characters, JIDs, errors and requests that a component must survive (cases A1, A2, A5, A6)."""

import pytest
from rig import commands, xml
from rig.server import Contact, Host

SHOP = {"virtual": [{"node": "shop", "name": "The Bookshop", "members": ["ann@localhost"]}]}
ADDRESSES = {
    "Rapport": "rapport.localhost",
    "a virtual user": "shop@rapport.localhost",
    "a conversation": r"bob\40localhost%shop@rapport.localhost",
    "nobody": "nobody@rapport.localhost",
    "a face": r"alice\40localhost@rapport.localhost",
}
each_address = pytest.mark.parametrize("address", ADDRESSES.values(), ids=ADDRESSES.keys())


@pytest.mark.allow_errors
async def test_a_name_that_xml_cannot_carry_stops_the_start_with_one_line(server, rapport):
    bad = {"virtual": [{"node": "shop", "name": "Book\x02shop", "members": ["ann@localhost"]}]}
    one = await rapport(server, bad, start=False)
    await one.launch()
    assert await one.exited() == 2
    lines = [line for line in one.log_lines() if line.strip()]
    assert len(lines) == 1
    assert str(one.config) in lines[0]
    assert "name" in lines[0]


async def test_a_name_that_xml_cannot_carry_is_refused_live_too(scene):
    s = await scene("bob", "ann")
    done = await s.rapport.cli("admin", "virtual-users", "--action", "add", "--node", "shop", "--name", "Book\x02shop")
    assert done.returncode != 0
    assert "name" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert await commands.say(s["bob"], "help")
    assert s.server.log_lines("omponent disconnected: rapport") == []


@pytest.mark.only_on("prosody", reason="ejabberd's tools for admins take no such JIDs")
async def test_odd_jids_in_a_roster_disturb_nobody(make_server, rapport, client):
    odd = ["foo@bar.org:5222", "room@muc.x/\N{PERSON RAISING BOTH HANDS IN CELEBRATION}", "x@y.co,"]
    users = {
        "alice": [Contact("bob@localhost"), *map(Contact, odd), Contact("carol@localhost")],
        "bob": [Contact("alice@localhost")],
        "carol": [Contact("alice@localhost")],
    }
    server = await make_server([Host(users=users)])
    running = await rapport(server)
    alice, bob, carol = [await client(server, f"{name}@localhost/phone") for name in users]
    await commands.run(alice, "presence", {"enabled": True})
    await carol.message("alice@localhost", "unread")
    await bob.sees("alice@localhost", "dnd")
    await carol.sees("alice@localhost", "away")
    assert "bob@localhost" in dict((await commands.run(alice, "levels")).rows)
    await alice.roster_set("bob@localhost", "Bob")
    await alice.settled()
    for jid in odd:
        assert len([line for line in running.log_lines() if jid in line]) <= 1


@each_address
async def test_no_error_and_no_result_is_ever_answered(scene, address):
    s = await scene("bob", "ann", "alice", settings=SHOP)
    bob = s["bob"]
    error = f"<error type='cancel'><item-not-found xmlns='{xml.STANZAS}'/></error>"
    start = bob.mark()
    await bob.message(address, "you said", error, id="e1", type="error")
    await bob.presence(extra=error, type="error", to=address, id="e2")
    await bob.send(f"<iq type='error' id='e3' to={xml.quoteattr(address)}>{error}</iq>")
    await bob.send(f"<iq type='result' id='e4' to={xml.quoteattr(address)}/>")
    await s.settled("bob")
    answers = [xml.dump(each) for each in bob.received[start:] if each.get("from", "").endswith("rapport.localhost")]
    assert [each for each in answers if "e1" in each or "e2" in each or "e3" in each or "e4" in each] == []
    assert [each for each in bob.received[start:] if each.get("from") == address and address != "rapport.localhost"] == []
    assert [each for each in s["ann"].received if xml.name(each) == "message"] == []


REQUESTS = {
    "an unknown get": ("get", "<q xmlns='urn:nope'/>"),
    "an unknown set": ("set", "<q xmlns='urn:nope'/>"),
    "the time": ("get", "<time xmlns='urn:xmpp:time'/>"),
    "last activity": ("get", "<query xmlns='jabber:iq:last'/>"),
    "two children": ("get", "<a xmlns='urn:nope'/><b xmlns='urn:nope'/>"),
}


@each_address
async def test_every_request_that_is_not_served_gets_one_error_from_the_address_that_was_asked(scene, address):
    s = await scene("bob", "ann", "alice", settings=SHOP)
    bob = s["bob"]
    for kind, payload in REQUESTS.values():
        start = bob.mark()
        answer = await bob.iq(kind, payload, address)
        assert answer.get("type") == "error", payload
        assert answer.get("from") == address
        assert xml.condition(answer)
        await bob.settled()
        assert [each.get("id") for each in bob.received[start:]].count(answer.get("id")) == 1
    assert xml.condition(await bob.iq("get", "<a xmlns='urn:nope'/><b xmlns='urn:nope'/>", address)) == "bad-request"
