"""The raw component speaks the link as far as the module's stories need it."""


async def test_the_raw_component_starts_the_link_takes_a_tap_and_shows_a_presence(server, client, component):
    fake = await component(server)
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/laptop")
    hello = await fake.start("alice")
    assert (hello.get("version"), hello.get("grace")) == ("0", "30")
    session = await fake.expect_notice("session", where=lambda notice: notice.get("jid") == alice.jid)
    await bob.message("alice@localhost", "secret words", id="m1")
    tap = await fake.expect_notice("tap")
    assert tap[0].get("id") == "m1"
    await fake.ack(int(tap.get("n", "0")))
    await fake.show(alice.jid, session.get("v", ""), "dnd", "k1", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    roster = await fake.request("<roster user='alice'/>")
    assert sorted(item.get("jid") for item in roster[0]) == ["bob@localhost", "carol@localhost"]
