"""S0, the gate: nobody ever sees the wrong state, and what is not Rapport's passes untouched (spec: When and The gate)."""

from rig import commands, xml
from rig.server import Contact, Host, friends


async def test_opt_in_corrects_all_and_opt_out_restores_the_truth(scene):
    s = await scene("alice", "bob", "carol")
    await s["carol"].message("alice@localhost", "unread")
    await s.settled("carol")
    for name in ("bob", "carol"):
        assert s[name].saw("alice@localhost") == ["online"]
    await s.set_rules()
    await s["bob"].sees("alice@localhost", "dnd")
    await s["carol"].sees("alice@localhost", "away")
    await commands.run(s["alice"], "presence", {"enabled": False})
    await s["bob"].sees("alice@localhost", "online")
    await s["carol"].sees("alice@localhost", "online")
    await s["alice"].presence("away")
    await s["bob"].sees("alice@localhost", "away")
    await s.settled()
    assert s["bob"].saw("alice@localhost") == ["online", "dnd", "online", "away"]


async def test_a_contact_who_comes_online_sees_nothing_but_the_right_state(scene, client):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    for number in range(10):
        late = await client(s.server, f"bob@localhost/late{number}")
        await late.sees("alice@localhost", "dnd")
        await late.settled()
        assert set(late.saw("alice@localhost")) == {"dnd"}
        await late.close()


async def test_a_user_who_comes_online_is_never_shown_wrong(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    start = s["bob"].mark()
    for _ in range(10):
        await s["alice"].close()
        await s["bob"].sees("alice@localhost", "offline")
        await s.enter("alice")
        await s["bob"].sees("alice@localhost", "dnd")
    await s.settled()
    assert s["bob"].saw("alice@localhost", start) == ["offline", "dnd"] * 10


async def test_a_change_of_the_own_presence_is_never_shown_untailored(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    start = s["bob"].mark()
    for number in range(10):
        await s["alice"].presence(("away", "online", "chat")[number % 3], status=f"status {number}")
    await s["bob"].until(lambda: any(xml.text(each, "status") == "status 9" for each in s["bob"].presences("alice@localhost", start)))
    await s["alice"].presence("xa")
    await s["bob"].sees("alice@localhost", "xa")
    assert set(s["bob"].saw("alice@localhost", start)) == {"dnd", "xa"}


async def test_unavailable_and_a_sudden_death_reach_everybody_at_once(scene):
    s = await scene("alice/a", "bob", "carol")
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    await s["alice"].presence(status="bye", type="unavailable")
    await s["bob"].sees("alice@localhost", "offline")
    assert xml.text(s["bob"].presences("alice@localhost")[-1], "status") == "bye"
    await s["alice"].presence()
    await s["bob"].sees("alice@localhost", "dnd")
    await s["alice"].cut()
    await s["bob"].sees("alice@localhost", "offline")
    await s["carol"].sees("alice@localhost", "offline")


async def test_directed_presence_passes_untouched(scene):
    s = await scene(
        "alice",
        "bob",
        "dora",
        hosts=[Host(users={**friends("alice", "bob", "carol"), "dora": []})],
    )
    await s.enter("carol")
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    await s["alice"].presence("chat", "just for you", to="bob@localhost")
    await s["bob"].until(lambda: "chat" in s["bob"].saw("alice@localhost"))
    await s["alice"].presence("away", to="dora@localhost")
    await s["dora"].sees("alice@localhost", "away")
    await s["alice"].presence(type="unavailable", to="dora@localhost")
    await s["dora"].sees("alice@localhost", "offline")
    await s.settled()
    assert s["dora"].saw("alice@localhost") == ["away", "offline"]


async def test_a_room_sees_the_own_presence(scene):
    s = await scene("alice", "bob", "carol", muc=True)
    await s.set_rules()
    await s["carol"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "dnd")
    room = "tea@conference.localhost"
    join = "<x xmlns='http://jabber.org/protocol/muc'/>"
    await s["bob"].presence(extra=join, to=f"{room}/bob")
    await s["bob"].until(lambda: "bob" in s["bob"].shows(room))
    unlock = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>"
    await s["bob"].iq("set", unlock, room)
    await s["alice"].presence("chat", extra=join, to=f"{room}/alice")
    await s["bob"].until(lambda: s["bob"].shows(room).get("alice") == "chat")
    await s["alice"].presence("xa", to=f"{room}/alice")
    await s["bob"].until(lambda: s["bob"].shows(room).get("alice") == "xa")
    await s["alice"].message(room, "hello all", type="groupchat")
    await s["bob"].until(lambda: s["bob"].bodies(room))
    assert s["bob"].shows("alice@localhost") == {"phone": "dnd"}


async def test_who_did_not_opt_in_is_left_alone(scene):
    s = await scene("alice", "carol", "bob")
    await s.set_rules("carol")
    await s["bob"].message("alice@localhost", "unread")
    await s["alice"].presence("away", "own words")
    await s["bob"].sees("alice@localhost", "away")
    await s.settled()
    assert s["bob"].saw("alice@localhost") == ["online", "away"]
    assert s["bob"].saw("carol@localhost") == ["online"]


async def test_contacts_without_a_subscription_from_get_nothing(scene):
    roster = [
        Contact("bob@localhost"),
        Contact("dora@localhost", "to"),
        Contact("eve@localhost", "none"),
        Contact("carol@localhost", "from"),
    ]
    back = [Contact("alice@localhost")]
    users = {
        "alice": roster,
        "bob": back,
        "carol": [Contact("alice@localhost", "to")],
        "dora": [Contact("alice@localhost", "from")],
        "eve": [Contact("alice@localhost", "none")],
    }
    s = await scene("alice", "bob", "carol", "dora", "eve", hosts=[Host(users=users)])
    await s.set_rules()
    await s["bob"].message("alice@localhost", "unread")
    await s["carol"].sees("alice@localhost", "dnd")
    await s["alice"].presence("xa")
    await s["carol"].sees("alice@localhost", "xa")
    await s.settled()
    assert s["dora"].presences("alice@localhost") == []
    assert s["eve"].presences("alice@localhost") == []


async def test_a_cancelled_contact_gets_no_more(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["alice"].presence(to="bob@localhost", type="unsubscribed")
    await s["bob"].sees("alice@localhost", "offline")
    start = s["bob"].mark()
    await s["carol"].message("alice@localhost", "unread")
    await s["carol"].sees("alice@localhost", "away")
    await s["alice"].presence("xa")
    await s["carol"].sees("alice@localhost", "xa")
    await s.settled()
    assert s["bob"].presences("alice@localhost", start) == []


async def test_a_newly_approved_contact_first_sees_the_right_state(scene):
    s = await scene("alice", "bob", "eve", hosts=[Host(users={**friends("alice", "bob"), "eve": []})])
    await s.set_rules()
    await s["bob"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "away")
    await s["eve"].presence(to="alice@localhost", type="subscribe")
    await s["alice"].expect(lambda stanza: stanza.get("type") == "subscribe")
    await s["alice"].presence(to="eve@localhost", type="subscribed")
    await s["eve"].sees("alice@localhost", "dnd")
    await s.settled()
    assert s["eve"].saw("alice@localhost") == ["dnd"]


async def test_an_admins_new_roster_item_counts_at_once(scene):
    s = await scene("alice", "bob", "eve", hosts=[Host(users={**friends("alice", "bob"), "eve": []})])
    await s.set_rules()
    await s["bob"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "away")
    await s.server.set_contact("alice", Contact("eve@localhost", "from"))
    await s["eve"].sees("alice@localhost", "dnd")
    await s.server.remove_contact("alice", "eve@localhost")
    start = s["eve"].mark()
    await s["alice"].presence("xa")
    await s["bob"].sees("alice@localhost", "xa")
    await s.settled()
    assert set(s["eve"].saw("alice@localhost", start)) <= {"offline"}


async def test_a_blocked_contact_gets_no_presence_until_unblocked_and_then_one(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["alice"].block("bob@localhost")
    # XEP-0191, 3.3: the server sends unavailable; ejabberd 23.01 does not.
    if s.server.kind == "prosody":
        await s["bob"].sees("alice@localhost", "offline")
    start = s["bob"].mark()
    await s["carol"].message("alice@localhost", "unread")
    await s["carol"].sees("alice@localhost", "away")
    await s["alice"].presence("away")
    await s.settled()
    assert s["bob"].presences("alice@localhost", start) == []
    await s["alice"].unblock("bob@localhost")
    await s["bob"].sees("alice@localhost", "dnd")
    await s.settled()
    assert s["bob"].saw("alice@localhost", start) == ["dnd"]


async def test_a_blocked_domain_gets_no_presence_until_unblocked_and_then_one_each(scene, client):
    there = ["zoe@other.localhost", "yan@other.localhost"]
    users = {"alice": [*map(Contact, there), Contact("bob@localhost")], "bob": [Contact("alice@localhost")]}
    back = [Contact("alice@localhost")]
    hosts = [Host(users=users), Host("other.localhost", {"zoe": back, "yan": back}, served=False)]
    s = await scene("alice", "bob", hosts=hosts)
    await s.set_rules()
    watchers = [await client(s.server, f"{jid}/w") for jid in there]
    for watcher in watchers:
        await watcher.sees("alice@localhost", "online")
    await s["alice"].block("other.localhost")
    # XEP-0191 has the server send unavailable to contacts; Prosody 0.12 does so for a blocked JID, not for a domain.
    starts = [watcher.mark() for watcher in watchers]
    await s["bob"].message("alice@localhost", "unread")
    await s["bob"].sees("alice@localhost", "away")
    await s["alice"].presence("chat")
    await s.settled()
    for watcher, start in zip(watchers, starts, strict=True):
        await watcher.ping()
        assert watcher.presences("alice@localhost", start) == []
    await s["alice"].unblock()
    for watcher, start in zip(watchers, starts, strict=True):
        await watcher.sees("alice@localhost", "dnd")
        await watcher.settled()
        assert watcher.saw("alice@localhost", start) == ["dnd"]


async def test_a_message_from_a_blocked_contact_does_not_count(scene):
    s = await scene("alice", "bob", "carol")
    await s.set_rules()
    await s["alice"].block("bob@localhost")
    await s["bob"].message("alice@localhost", "let me in")
    await s.settled("bob")
    await s.settled("alice")
    assert set(s["carol"].saw("alice@localhost")) == {"online"}


async def test_a_contact_on_another_server_is_tailored_for_and_their_probe_answered(make_server, rapport, client):
    here = Host("localhost", {"alice": [Contact("bob@there.localhost"), Contact("carol@localhost")], "carol": [Contact("alice@localhost")]})
    there = Host("there.localhost", {"bob": [Contact("alice@localhost")]}, served=False)
    two = await make_server([there], peers={}, module=False)
    one = await make_server([here], peers={"there.localhost": two.s2s_port})
    two.peers = {"localhost": one.s2s_port}
    await two.restart()
    await rapport(one)
    alice = await client(one, "alice@localhost/phone")
    carol = await client(one, "carol@localhost/phone")
    # What alice sent before she opted in is not still on its way when bob asks.
    early = await client(two, "bob@there.localhost/early")
    await early.sees("alice@localhost", "online")
    await early.close()
    await commands.run(alice, "presence", {"enabled": True})
    await carol.message("alice@localhost", "unread")
    await carol.sees("alice@localhost", "away")
    bob = await client(two, "bob@there.localhost/phone")
    await bob.sees("alice@localhost", "dnd")
    assert set(bob.saw("alice@localhost")) == {"dnd"}
    await bob.message("alice@localhost", "from afar")
    await bob.sees("alice@localhost", "away")
    await alice.message("bob@there.localhost", "back to you")
    await bob.sees("alice@localhost", "online")
    await alice.close()
    await bob.sees("alice@localhost", "offline")
