"""The link where ejabberd goes another way than Prosody (docs/ejabberd.md)."""

import pytest
from rig import xml
from rig.component import handed, shown
from rig.raw import RawClient
from rig.server import Contact, Host

pytestmark = pytest.mark.only_on("ejabberd", reason="ejabberd's own ways")


async def roster_of(component, user):
    answer = await component.request(f"<roster user='{user}'/>")
    return {item.get("jid"): item.get("subscription") for item in xml.child(answer, "roster", xml.LINK)}


async def test_a_second_component_of_the_name_gets_no_link_and_takes_nothing_from_the_first(server, client, linked, component):
    rapport = await linked(server)
    second = await component(server)
    await second.link("<hello version='0'/>")
    assert await second.ended() == "conflict"
    third = await component(server)  # connected, without a word
    bob = await client(server, "bob@localhost/phone")
    for text in ("one", "two", "three", "four"):
        await bob.message(f"shop@{rapport.domain}", text)
    await rapport.expect(lambda stanza: xml.body(stanza) == "four")
    await rapport.settled()
    assert [xml.body(each) for each in third.received if xml.name(each) == "message"] == []
    assert [xml.body(each) for each in rapport.received if xml.body(each)] == ["one", "two", "three", "four"]


async def test_the_next_component_gets_the_link_when_the_first_has_gone(server, client, linked, component):
    rapport = await linked(server)
    await rapport.cut()
    again = await component(server)
    assert xml.name(await again.hello()) == "hello"


async def test_a_reload_asks_for_a_new_start_and_keeps_counter_queue_and_what_was_shown(server, tailored):
    rapport, alice, bob, session = tailored.rapport, tailored.alice, tailored.bob, tailored.session
    await bob.message(f"shop@{rapport.domain}", "kept")
    assert handed(await rapport.expect(lambda stanza: xml.body(stanza) == "kept")) == 1
    start = bob.mark()

    await server.reload_module()
    await rapport.expect_notice("renew")
    assert (await rapport.hello(epoch=tailored.epoch, h=0)).get("epoch") == tailored.epoch
    assert handed(await rapport.expect(lambda stanza: xml.body(stanza) == "kept")) == 1
    await rapport.gate(["alice"])
    told = {each.get("jid"): each for each in await rapport.ready()}
    assert (told[alice.jid].get("v"), told[alice.jid].get("truth")) == (session.get("v"), "0")
    assert shown(told[alice.jid]) == {"K": {"bob@localhost"}}
    await bob.message(f"shop@{rapport.domain}", "new")
    assert handed(await rapport.expect(lambda stanza: xml.body(stanza) == "new")) == 2
    await alice.presence("away")
    newer = await rapport.expect_notice("session", where=lambda each: each.get("v") == str(int(session.get("v")) + 1))
    assert newer.get("truth") == "0"
    await bob.ping()
    assert bob.saw("alice@localhost", start) == []


async def test_a_session_that_ends_while_the_module_is_not_loaded_is_not_named_again(server, client, linked):
    rapport = await linked(server, "alice")
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/phone")
    await server.unload_module()
    await alice.presence(type="unavailable")
    await bob.close()
    await server.load_module()
    await rapport.expect_notice("renew")
    await rapport.hello()
    await rapport.gate(["alice"])
    assert [each.get("jid") for each in await rapport.ready()] == []


async def test_a_resumed_session_goes_on_in_another_process_with_what_was_shown(make_server, client, linked):
    server = await make_server(modules={"mod_stream_mgmt": {"resume_timeout": "2 s"}})
    rapport = await linked(server, "alice")
    bob = await client(server, "bob@localhost/phone")
    alice = await client(server, "alice@localhost/phone", available=False)
    previous = await alice.resumable()
    await alice.presence("chat")
    session = await rapport.expect_notice("session", where=lambda each: each.get("jid") == alice.jid)
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    start, told = bob.mark(), rapport.mark()
    await alice.cut()
    async with await RawClient(server).resume("alice@localhost/phone", previous) as again:
        await rapport.show(again.jid, session.get("v"), "xa", "L", ["bob@localhost"])
        await bob.sees("alice@localhost", "xa")
        await again.presence("away")
        newer = await rapport.expect_notice("session", where=lambda each: each.get("v") == str(int(session.get("v")) + 1))
        assert newer.get("truth") == "0"
        await bob.ping()
        assert bob.saw("alice@localhost", start) == ["xa"]
        assert [each.get("v") for each in rapport.notices("session", told)] == [newer.get("v")]
        await again.cut()
    await rapport.nothing(lambda stanza: xml.child(stanza, "session", xml.LINK) is not None)
    assert (await rapport.expect_notice("session", where=lambda each: each.get("gone") == "1")).get("jid") == "alice@localhost/phone"
    await bob.sees("alice@localhost", "offline")


async def test_changes_that_no_hook_of_ejabberd_tells_are_told(server, linked):
    rapport = await linked(server)
    await server.api("process_rosteritems", action="delete", subs="any", asks="any", users="alice@localhost", contacts="bob@localhost")
    await rapport.changed("alice", "roster")
    assert "bob@localhost" not in await roster_of(rapport, "alice")


async def test_shared_groups_are_in_the_roster_and_each_change_is_told_to_all_who_see_it(make_server, linked):
    server = await make_server([Host(users={"alice": [], "bob": [Contact("x@x.org", "to")]})])
    rapport = await linked(server)
    await server.api("srg_create", group="support", host="localhost", name="Support", description="", display="support")
    await server.api("srg_user_add", user="alice", host="localhost", group="support", grouphost="localhost")
    await server.api("srg_user_add", user="bob", host="localhost", group="support", grouphost="localhost")
    for user in ("alice", "bob"):
        await rapport.changed(user, "roster")
    assert await roster_of(rapport, "alice") == {"bob@localhost": "both"}
    assert await roster_of(rapport, "bob") == {"alice@localhost": "both", "x@x.org": "to"}
