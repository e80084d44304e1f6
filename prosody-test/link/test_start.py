"""Hello, gate, ready (docs/link.md, 1)."""

import pytest
from rig import xml
from rig.component import handed
from rig.server import Host
from rig.wait import until


async def test_the_module_answers_hello_with_its_epoch_and_bounds(server, component):
    rapport = await component(server)
    hello = await rapport.hello()
    assert xml.name(hello) == "hello"
    assert hello.get("version") == "0"
    assert hello.get("epoch")
    assert hello.get("server", "").lower().startswith(f"{server.kind} ")
    assert (hello.get("grace"), hello.get("buffer"), hello.get("dropped")) == ("30", "10000", "0")


async def test_ready_is_answered_with_all_available_sessions(server, client, component):
    await client(server, "alice@localhost/phone", show="away")
    await client(server, "bob@localhost/laptop")
    await client(server, "carol@localhost/silent", available=False)
    rapport = await component(server)
    await rapport.hello()
    sessions = await rapport.ready()
    assert sorted(each.get("jid") for each in sessions) == ["alice@localhost/phone", "bob@localhost/laptop"]
    assert all(each.get("truth") == "1" and each.get("shown") is None for each in sessions)
    alice = next(each for each in sessions if each.get("jid") == "alice@localhost/phone")
    presence = xml.child(alice, "presence", "jabber:client")
    assert presence is not None and xml.text(presence, "show") == "away" and xml.child(presence, "delay") is None


@pytest.mark.allow_errors
async def test_another_version_is_refused_and_nothing_else_happens_on_that_stream(server, client, component):
    rapport = await component(server)
    await rapport.link("<hello version='7'/>")
    refused = await rapport.expect_notice("refused")
    assert (refused.get("version"), refused.get("asked")) == ("0", "7")
    errors = r"(:rapport\terror\t|\[error\].*mod_rapport)"
    await until(lambda: server.log_lines(errors), what="the line in the log")
    [line] = server.log_lines(errors)
    assert "version '7'" in line.replace('"', "'") and "'0'" in line.replace('"', "'")
    await rapport.link("<ready/>")
    await rapport.link("<gate on='1'><user name='alice'/></gate>")
    bob = await client(server, "bob@localhost/phone")
    await client(server, "alice@localhost/phone")
    await bob.sees("alice@localhost", "online")
    await rapport.settled()
    assert [xml.name(each) for each in rapport.notices()] == ["refused"]
    # Without a link virtual users still get their messages.
    await bob.message(f"shop@{rapport.domain}", "hello")
    got = await rapport.expect(lambda stanza: xml.body(stanza) == "hello")
    assert handed(got) is None


async def test_what_is_not_understood_is_refused_by_name(server, linked):
    rapport = await linked(server)
    for payload in (
        "<dance/>",
        "<ack h='x'/>",
        "<gate on='maybe'/>",
        "<show jid='alice@localhost/x' v='1' as='lost' key='K'/>",
        "<ready/>",
    ):
        await rapport.link(payload)
        refused = await rapport.expect_notice("refused")
        assert f"<{refused.get('name')}" in payload and refused.get("reason")


async def test_without_the_module_a_hello_comes_back_as_an_error(make_server, component):
    server = await make_server(module=False)
    rapport = await component(server)
    await rapport.link("<hello version='0'/>")
    answer = await rapport.expect(lambda stanza: stanza.get("type") == "error")
    assert xml.condition(answer) == {"prosody": "service-unavailable", "ejabberd": "item-not-found"}[server.kind]


@pytest.mark.only_on("prosody", reason="only there the component has a module too")
@pytest.mark.allow_errors
async def test_a_component_without_the_module_is_named_in_the_hosts_log(make_server, component):
    server = await make_server(component_extra="modules_enabled = {}")
    rapport = await component(server)
    await rapport.link("<hello version='0'/>")
    assert xml.condition(await rapport.expect(lambda stanza: stanza.get("type") == "error")) == "service-unavailable"
    line = 'localhost:rapport\terror\t.*modules_enabled of Component "rapport.localhost"'
    await until(lambda: server.log_lines(line), what="the line in the log")


@pytest.mark.only_on("prosody", reason="ejabberd refuses a configuration without the option")
@pytest.mark.allow_errors
async def test_a_host_without_the_option_is_told_so(make_server):
    server = await make_server([Host(served=False)], host_extra='modules_enabled = { "rapport" }')
    await until(lambda: server.log_lines("localhost:rapport\terror\trapport_component is not set"), what="the line in the log")


@pytest.mark.only_on("prosody", reason="only there the component has a module too")
@pytest.mark.allow_errors
async def test_a_component_that_no_host_names_works_as_without_the_module(make_server, client, component):
    server = await make_server(host_extra='modules_enabled = { "ping" }')
    line = 'rapport.localhost:rapport\terror\t.*rapport_component = "rapport.localhost"'
    await until(lambda: server.log_lines(line), what="the line in the log")
    rapport = await component(server)
    bob = await client(server, "bob@localhost/phone")
    await bob.message(f"shop@{rapport.domain}", "hello")
    got = await rapport.expect(lambda stanza: xml.body(stanza) == "hello")
    assert handed(got) is None


# -- loaded, unloaded and reloaded while it runs


@pytest.mark.only_on("prosody", reason="on ejabberd a reload is a stop and a start: the module asks for a new start")
async def test_a_reload_changes_nothing(server, tailored):
    rapport, alice, bob, session = tailored.rapport, tailored.alice, tailored.bob, tailored.session
    await bob.message("alice@localhost", "one")
    await rapport.expect_notice("tap")
    start = rapport.mark()

    await server.reload_module()
    await alice.presence("away")
    told = await rapport.expect_notice("session", where=lambda each: each.get("v") == str(int(session.get("v")) + 1))
    assert told.get("truth") == "0"
    await bob.message("alice@localhost", "two")
    assert (await rapport.expect_notice("tap")).get("n") == "2"
    await bob.ping()
    assert bob.shows("alice@localhost") == {"phone": "dnd"}
    assert [xml.name(each) for each in rapport.notices("", start)] == ["session", "tap"]
    assert (await rapport.hello()).get("epoch") == tailored.epoch
    await rapport.settled()
    assert [each.get("n") for each in rapport.notices("tap", start)] == ["2", "1", "2"]


async def test_a_pending_grace_survives_a_reload(make_server, client, linked):
    server = await make_server(grace=1)
    rapport = await linked(server, "alice")
    await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/phone")
    await rapport.cut()
    waiting = await bob.message(f"shop@{rapport.domain}", "one")
    await bob.ping()
    await server.reload_module()
    assert xml.condition(await bob.expect(lambda stanza: stanza.get("id") == waiting, 4)) == "recipient-unavailable"
    await bob.sees("alice@localhost", "online")


async def test_unloaded_it_leaves_plain_xmpp_and_loaded_again_it_asks_for_a_new_start(server, client, linked):
    rapport = await linked(server, "alice")
    alice = await client(server, "alice@localhost/phone", show="xa")
    bob = await client(server, "bob@localhost/phone")
    session = await rapport.expect_notice("session", where=lambda each: each.get("jid") == alice.jid)
    await rapport.show(alice.jid, session.get("v"), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")

    await server.unload_module()
    await bob.sees("alice@localhost", "xa")
    await alice.presence("away")
    await bob.sees("alice@localhost", "away")
    await bob.message(f"shop@{rapport.domain}", "plain")
    assert handed(await rapport.expect(lambda stanza: xml.body(stanza) == "plain")) is None

    await server.load_module()
    await rapport.expect_notice("renew")
    await rapport.hello()
    await rapport.gate(["alice"])
    told = {each.get("jid"): each for each in await rapport.ready()}
    assert told[alice.jid].get("truth") == "1"
    await alice.presence("chat")
    await rapport.expect_notice("session", where=lambda each: each.get("jid") == alice.jid and each.get("truth") == "0")
    await bob.ping()
    assert bob.shows("alice@localhost") == {"phone": "away"}


@pytest.mark.only_on("prosody", reason="only there the component has a module too")
@pytest.mark.parametrize("where", ["host", "component"])
async def test_one_of_the_two_loaded_again_asks_for_a_new_start(server, client, linked, where):
    rapport = await linked(server, "alice")
    host = server.domain if where == "host" else server.component
    await server.shell(f"module:unload('rapport', '{host}')")
    await server.shell(f"module:load('rapport', '{host}')")
    await rapport.expect_notice("renew")
    await rapport.start("alice")
    bob = await client(server, "bob@localhost/phone")
    await bob.message(f"shop@{rapport.domain}", "counted")
    assert handed(await rapport.expect(lambda stanza: xml.body(stanza) == "counted")) is not None
    await bob.message("alice@localhost", "tapped")
    await rapport.expect_notice("tap")
