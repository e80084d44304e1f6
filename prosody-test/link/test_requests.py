"""Rosters, block lists and history on request, and each change (docs/link.md, 3 and 5)."""

import pytest
from rig import xml
from rig.server import Contact, Host, friends


def items(answer):
    roster = xml.child(answer, "roster", xml.LINK)
    assert roster is not None, xml.dump(answer)
    return {
        item.get("jid"): (item.get("subscription"), item.get("name"), {group.text for group in item if group.text})
        for item in xml.children(roster, "item")
    }


async def test_the_roster_is_told_as_the_server_holds_it(make_server, linked):
    roster = [Contact("bob@localhost", "both", "Bob & co", ("Friends", "Work")), Contact("carol@x.org", "to"), Contact("eve@x.org", "from")]
    server = await make_server([Host(users={"alice": roster, "bob": []})])
    rapport = await linked(server)
    assert items(await rapport.request("<roster user='alice'/>")) == {
        "bob@localhost": ("both", "Bob & co", {"Friends", "Work"}),
        "carol@x.org": ("to", None, set()),
        "eve@x.org": ("from", None, set()),
    }
    assert items(await rapport.request("<roster user='bob'/>")) == {}


async def test_the_roster_holds_domains_too(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    await alice.roster_set("x.org")
    assert items(await rapport.request("<roster user='alice'/>"))["x.org"] == ("none", None, set())


@pytest.mark.only_on("prosody", reason="ejabberd's tools for admins take no such JID")
async def test_the_roster_holds_full_jids_of_any_kind_too(make_server, linked):
    odd = "room@muc.x/\N{PERSON RAISING BOTH HANDS IN CELEBRATION}"
    server = await make_server([Host(users={"alice": [Contact(odd, "from")]})])
    rapport = await linked(server)
    assert items(await rapport.request("<roster user='alice'/>")) == {odd: ("from", None, set())}


@pytest.mark.parametrize("what", ["roster", "blocks", "history"])
@pytest.mark.parametrize("user", ["nobody", "", "a@b"])
async def test_a_user_who_does_not_exist_is_not_found(server, linked, what, user):
    rapport = await linked(server)
    assert xml.condition(await rapport.request(f"<{what} user='{user}'/>")) == "item-not-found"


async def test_an_unknown_request_is_answered(server, linked):
    rapport = await linked(server)
    assert xml.condition(await rapport.request("<dance user='alice'/>")) == "service-unavailable"


async def test_changes_by_the_client_are_told(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    await alice.roster_set("bob@localhost", "Robert", ["Team"])
    await rapport.changed("alice", "roster")
    assert items(await rapport.request("<roster user='alice'/>"))["bob@localhost"] == ("both", "Robert", {"Team"})
    await alice.roster_set("carol@localhost", subscription="remove")
    await rapport.changed("alice", "roster")
    await rapport.changed("carol", "roster")
    assert "carol@localhost" not in items(await rapport.request("<roster user='alice'/>"))


@pytest.mark.parametrize("online", [True, False])
async def test_changes_by_an_admins_tool_are_told(server, client, linked, online):
    rapport = await linked(server)
    if online:
        await client(server, "alice@localhost/phone")
    await server.set_contact("alice", Contact("dora@localhost", "from", groups=("Work",)))
    await rapport.changed("alice", "roster")
    assert items(await rapport.request("<roster user='alice'/>"))["dora@localhost"] == ("from", None, {"Work"})
    await server.remove_contact("alice", "dora@localhost")
    await rapport.changed("alice", "roster")


@pytest.mark.only_on("prosody", reason="the way of Prosody's modules")
async def test_changes_by_a_module_that_writes_the_store_itself_are_told(server, linked):
    rapport = await linked(server)
    await server.lua(
        "local store = require 'core.storagemanager'.open('localhost', 'roster', 'map') "
        "return store:set('alice', 'eve@localhost', { subscription = 'none', groups = {} })"
    )
    await rapport.changed("alice", "roster")


@pytest.mark.only_on("prosody", reason="the way of Prosody's modules")
async def test_changes_in_one_go_are_one_notice(server, linked):
    rapport = await linked(server)
    await server.lua(
        "local rm = require 'core.rostermanager' local roster = rm.load_roster('alice', 'localhost') "
        "for i = 1, 50 do local jid = 'c'..i..'@localhost' roster[jid] = { subscription = 'none', groups = {} } "
        "rm.save_roster('alice', 'localhost', roster, jid) end return true"
    )
    await rapport.changed("alice", "roster")
    await rapport.nothing(lambda stanza: xml.child(stanza, "changed", xml.LINK) is not None, during=0.1)


async def test_a_subscription_changes_both_rosters(make_server, client, linked):
    server = await make_server([Host(users={"alice": [], "bob": []})])
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/phone")
    await bob.presence(type="subscribe", to="alice@localhost")
    await alice.expect(lambda stanza: stanza.get("type") == "subscribe")
    start = rapport.mark()
    await alice.presence(type="subscribed", to="bob@localhost")
    await rapport.until(
        lambda: (
            {(each.get("user"), each.get("what")) for each in rapport.notices("changed", start)} >= {("alice", "roster"), ("bob", "roster")}
        )
    )


@pytest.mark.only_on("prosody", reason="mod_groups; ejabberd's mod_shared_roster has a story of its own")
async def test_shared_groups_are_in_the_roster(make_server, linked, tmp_path):
    groups = tmp_path / "groups.txt"
    groups.write_text("[Support]\nalice@localhost=Alice\nbob@localhost=Bob\n", encoding="utf-8")
    server = await make_server([Host(users={"alice": [], "bob": []})], modules=["groups"], extra=f'groups_file = "{groups}"')
    rapport = await linked(server)
    assert items(await rapport.request("<roster user='alice'/>")) == {"bob@localhost": ("both", "Bob", {"Support"})}


async def test_block_lists_are_told_and_each_change(server, client, linked):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")

    async def blocks():
        answer = xml.child(await rapport.request("<blocks user='alice'/>"), "blocks", xml.LINK)
        return {item.get("jid") for item in answer}

    assert await blocks() == set()
    await alice.block("bob@localhost", "x.org")
    await rapport.changed("alice", "blocks")
    assert await blocks() == {"bob@localhost", "x.org"}
    await alice.unblock("x.org")
    await rapport.changed("alice", "blocks")
    assert await blocks() == {"bob@localhost"}
    await alice.unblock()
    await rapport.changed("alice", "blocks")
    assert await blocks() == set()


async def test_a_deleted_account_is_told_and_its_gate_forgotten(server, client, linked, component):
    rapport = await linked(server, "alice")
    alice = await client(server, "alice@localhost/phone")
    await server.delete_account("alice")
    await rapport.changed("alice", "account")
    await alice.ended()
    assert xml.condition(await rapport.request("<roster user='alice'/>")) == "item-not-found"
    await server.add_account("alice")
    await server.set_contact("alice", Contact("bob@localhost"))
    await client(server, "alice@localhost/new")
    bob = await client(server, "bob@localhost/phone")
    await server.set_contact("bob", Contact("alice@localhost"))
    await bob.presence("chat")
    await bob.presence(type="probe", to="alice@localhost")
    await bob.sees("alice@localhost", "online")


# -- history


def page(answer):
    history = xml.child(answer, "history", xml.LINK)
    assert history is not None, xml.dump(answer)
    return history


async def write(client, to, *texts):
    for text in texts:
        await client.message(to, text, id=text)
    await client.ping()


async def history(component, user, size):
    """All pages: the taps, and how many pages there were."""
    taps, pages, after = [], 0, ""
    while True:
        part = page(await component.request(f"<history user='{user}' max='{size}'{after}/>"))
        pages += 1
        taps += list(part)
        if part.get("complete") == "1":
            return taps, pages
        after = f" after='{part.get('last')}'"


@pytest.mark.parametrize(("size", "pages"), [(1, 5), (2, 3), (5, 1), (100, 1)])
async def test_history_pages_are_complete_and_in_order(server, client, linked, size, pages):
    rapport = await linked(server)
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/phone")
    await write(bob, "alice@localhost", "m1", "m2")
    await write(alice, "bob@localhost", "m3")
    await write(bob, "alice@localhost/phone", "m4", "m5")
    await alice.until(lambda: alice.bodies("bob@localhost")[-1:] == ["m5"])
    taps, count = await history(rapport, "alice", size)
    messages = [xml.child(tap, "message", "jabber:client") for tap in taps]
    assert [(each.get("from"), each.get("to"), each.get("id")) for each in messages] == [
        (bob.jid, "alice@localhost", "m1"),
        (bob.jid, "alice@localhost", "m2"),
        (alice.jid, "bob@localhost", "m3"),
        (bob.jid, alice.jid, "m4"),
        (bob.jid, alice.jid, "m5"),
    ]
    assert count == pages
    assert all(xml.text(each, "body") == "" and len(each) == 1 for each in messages)
    assert len({tap.get("id") for tap in taps}) == 5 and all(float(tap.get("at")) > 1.6e9 for tap in taps)


async def test_history_names_the_archive_ids_that_the_taps_had(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await write(bob, "alice@localhost", "m1")
    live = xml.child(xml.child(await rapport.expect_notice("tap"), "message"), "stanza-id")
    [archived], _ = await history(rapport, "alice", 10)
    assert (live.get("by"), live.get("id")) == ("alice@localhost", archived.get("id"))


async def test_what_would_not_be_tapped_is_left_out_of_history(server, client, linked):
    rapport = await linked(server)
    bob = await client(server, "bob@localhost/phone")
    await bob.message("alice@localhost", extra="<received xmlns='urn:xmpp:receipts' id='x'/>")
    await write(bob, "alice@localhost", "m1")
    await bob.message("bob@localhost", "note to self")
    await bob.message("alice@localhost", extra="<received xmlns='urn:xmpp:chat-markers:0' id='x'/>")
    await bob.ping()
    # Prosody archives receipts and markers, ejabberd what has a body.
    if server.kind == "prosody":
        first = page(await rapport.request("<history user='alice' max='1'/>"))
        assert (list(first), first.get("complete")) == ([], None) and first.get("last") and first.get("count") == "3"
    taps, pages = await history(rapport, "alice", 1)
    assert [xml.child(tap, "message").get("id") for tap in taps] == ["m1"] and pages == (3 if server.kind == "prosody" else 1)
    assert [xml.child(tap, "message").get("id") for tap in (await history(rapport, "bob", 10))[0]] == ["m1"]


async def test_an_empty_archive_is_complete(server, linked):
    rapport = await linked(server)
    only = page(await rapport.request("<history user='alice' max='10'/>"))
    assert (list(only), only.get("complete"), only.get("last")) == ([], "1", None)


async def test_there_is_no_history_without_an_archive(make_server, linked):
    server = await make_server([Host(users=friends("alice", "bob"))], without=["archive"])
    rapport = await linked(server)
    assert xml.condition(await rapport.request("<history user='alice'/>")) == "feature-not-implemented"
