"""Hello, gate, ready (docs/link.md, 1)."""

from rig import xml


async def test_the_module_answers_hello_with_its_epoch_and_bounds(prosody, component):
    rapport = await component(prosody)
    hello = await rapport.hello()
    assert xml.name(hello) == "hello"
    assert hello.get("version") == "0"
    assert hello.get("epoch")
    assert hello.get("server", "").startswith("Prosody ")
    assert (hello.get("grace"), hello.get("buffer"), hello.get("dropped")) == ("30", "10000", "0")


async def test_ready_is_answered_with_all_available_sessions(prosody, client, component):
    await client(prosody, "alice@localhost/phone", show="away")
    await client(prosody, "bob@localhost/laptop")
    await client(prosody, "carol@localhost/silent", available=False)
    rapport = await component(prosody)
    await rapport.hello()
    sessions = await rapport.ready()
    assert sorted(each.get("jid") for each in sessions) == ["alice@localhost/phone", "bob@localhost/laptop"]
    assert all(each.get("truth") == "1" and each.get("shown") is None for each in sessions)
    alice = next(each for each in sessions if each.get("jid") == "alice@localhost/phone")
    presence = xml.child(alice, "presence", "jabber:client")
    assert presence is not None and xml.text(presence, "show") == "away" and xml.child(presence, "delay") is None
