"""The rig's own clients and servers do what the stories rely on."""

import pytest
from rig.component import RawComponent
from rig.raw import RawClient
from rig.server import Contact, Host
from rig.stream import StreamError


async def test_two_clients_see_each_others_presence_and_messages(server, client):
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    await alice.sees("bob@localhost", "online")
    await bob.sees("alice@localhost", "online")
    await alice.presence("dnd", status="busy & gone")
    await bob.sees("alice@localhost", "dnd")
    await bob.message("alice@localhost", "<hello> & co")
    await bob.ping()
    await alice.ping()
    assert alice.bodies("bob@localhost") == ["<hello> & co"]
    await bob.close()
    await alice.sees("bob@localhost", "offline")


async def test_a_cut_connection_ends_the_session(server, client):
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    await bob.sees("alice@localhost", "online")
    await alice.cut()
    await bob.sees("alice@localhost", "offline")


async def test_a_wrong_password_is_told(server):
    with pytest.raises(StreamError, match="not-authorized"):
        await RawClient(server).connect("alice@localhost/phone", "wrong")


async def test_an_admins_roster_change_is_pushed(server, client):
    alice = await client(server, "alice@localhost/phone")
    await server.set_contact("alice", Contact("dora@localhost", "from", name="Dora", groups=("Work",)))
    push = await alice.expect(lambda stanza: stanza.get("type") == "set" and len(stanza))
    assert push[0][0].get("jid") == "dora@localhost"


async def test_an_account_can_be_added_and_deleted(server, client):
    await server.add_account("dora")
    dora = await client(server, "dora@localhost/phone")
    await server.delete_account("dora")
    await dora.ended()


async def test_a_restarted_server_keeps_its_accounts(server, client):
    await server.kill()
    await server.start()
    assert (await client(server, "alice@localhost/phone")).jid == "alice@localhost/phone"


async def test_two_servers_federate(make_server, client):
    here = Host("localhost", {"alice": [Contact("bob@there.localhost")]})
    there = Host("there.localhost", {"bob": [Contact("alice@localhost")]}, served=False)
    one = await make_server([here], peers={})
    two = await make_server([there], peers={"localhost": one.s2s_port})
    one.peers = {"there.localhost": two.s2s_port}
    await one.restart()
    alice = await client(one, "alice@localhost/phone")
    bob = await client(two, "bob@there.localhost/phone")
    await bob.sees("alice@localhost", "online")
    await alice.sees("bob@there.localhost", "online")
    await bob.message("alice@localhost", "from afar")
    await alice.expect(lambda stanza: alice.bodies("bob@there.localhost") == ["from afar"])


async def test_a_component_talks_to_clients_and_its_secret_is_checked(make_server, client):
    server = await make_server(module=False)
    with pytest.raises(StreamError, match="not-authorized"):
        await RawComponent(server).connect("wrong")
    component = await RawComponent(server).connect()
    alice = await client(server, "alice@localhost/phone")
    await alice.message(component.domain, "hello", id="m1")
    got = await component.expect(lambda stanza: stanza.get("id") == "m1")
    assert got.get("from") == "alice@localhost/phone"
    await component.send(f"<message from='{component.domain}' to='alice@localhost' type='chat'><body>well</body></message>")
    await alice.until(lambda: alice.bodies(component.domain) == ["well"])
    await component.close()


@pytest.mark.only_on("prosody", reason="ejabberd takes it, and balances what comes between the two")
async def test_a_second_component_of_the_same_name_is_refused(make_server):
    server = await make_server(module=False)
    async with await RawComponent(server).connect():
        with pytest.raises(StreamError, match="conflict"):
            await RawComponent(server).connect()
