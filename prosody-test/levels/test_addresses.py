"""Faces of owners with any local part, askers on other servers, odd JIDs, long lists (spec: contact levels; field cases A2, A3, A21)."""

import pytest
from rig import commands, levels, xml
from rig.raw import RawClient
from rig.server import COMPONENT, Contact, Host
from rig.wait import eventually

ALICE = "alice@localhost"
# XEP-0106 on top of the server's own rules: what an account can be called, and how its face is.
OWNERS = {
    "o\\27neil": "o\\5c27neil\\40localhost",
    "c\\5c40d": "c\\5c5c40d\\40localhost",
    "a%b": "a%b\\40localhost",
    "d\\e": "d\\e\\40localhost",
    "b\\20b": "b\\5c20b\\40localhost",
    "q\\22\\26\\2f\\3a\\3c\\3e\\40\\5c": "q\\5c22\\5c26\\5c2f\\5c3a\\5c3c\\5c3e\\5c40\\5c5c\\40localhost",
    "jörg": "jörg\\40localhost",
    "x.y-z_1+2=3": "x.y-z_1+2=3\\40localhost",
}


async def test_the_face_of_every_owner_is_their_own(scene):
    friend = Contact("bob@localhost")
    hosts = [Host(users={"bob": [Contact(f"{owner}@localhost") for owner in OWNERS]} | {owner: [friend] for owner in OWNERS})]
    s = await scene("bob", hosts=hosts)
    for owner, local in OWNERS.items():
        client = await s.enter(owner)
        await commands.run(client, "real-name", {"fn": f"I am {owner}"})
        await levels.open_door(client, "real-name", 5)
        answer = await s["bob"].iq("get", f"<vCard xmlns='{levels.VCARD}'/>", f"{local}@{COMPONENT}")
        assert answer.get("type") == "result", xml.dump(answer)
        assert f"I am {owner}" in list(answer[0].itertext())


async def test_a_chat_between_faces_with_odd_local_parts(scene):
    owner, writer = "o\\27neil", "a%b"
    hosts = [Host(users={owner: [Contact(f"{writer}@localhost")], writer: [Contact(f"{owner}@localhost")]})]
    s = await scene(owner, writer, hosts=hosts)
    for name in (owner, writer):
        await commands.run(s[name], "real-name", {"fn": f"I am {name}"})
    await levels.open_door(s[owner], "real-name", 5)
    await s[writer].message(f"{OWNERS[owner]}@{COMPONENT}", "hello")
    await s[owner].until(lambda: s[owner].bodies(f"{OWNERS[writer]}@{COMPONENT}") == ["hello"])
    await s[owner].message(f"{OWNERS[writer]}@{COMPONENT}", "hello yourself")
    await s[writer].until(lambda: s[writer].bodies(f"{OWNERS[owner]}@{COMPONENT}") == ["hello yourself"])


@pytest.mark.parametrize("typed", ["ALICE@LocalHost", "alice@localhost.", "alice@localhost/phone", "\uff41lice@localhost"])
async def test_a_jid_is_the_same_however_it_is_typed(around_alice, typed):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 5)
    answer = await commands.run(s["level1"], "contacts-of", {"owner": typed})
    assert [jid for jid, _ in answer.rows] == ["level5@localhost"]
    await commands.run(s["alice"], "label", {"contact": "LEVEL5@localhost", "labels": ["far"], "level": "1", "pin": True})
    assert dict((await commands.run(s["alice"], "levels")).rows)["level5@localhost"].startswith("level 1")


@pytest.mark.only_on("prosody", reason="ejabberd's tools for admins take no such JIDs")
async def test_odd_jids_in_a_roster_are_listed_as_they_are(make_server, rapport, client):
    odd = ["foo@bar.org:5222", "room@muc.x/\N{PERSON RAISING BOTH HANDS IN CELEBRATION}", "x@y.co,", "news.example"]
    server = await make_server([Host(users={"alice": [*map(Contact, odd), Contact("bob@localhost")], "bob": []})])
    await rapport(server)
    alice, bob = await client(server, f"{ALICE}/phone"), await client(server, "bob@localhost/phone")
    await levels.open_door(alice, "contacts", 5)
    assert set(await levels.contacts(bob, ALICE)) == set(odd)
    answer = await commands.run(bob, "contacts-of", {"owner": ALICE, "send_links": True, "send_items": True})
    assert {jid for jid, _ in answer.rows} == set(odd)
    await bob.expect(lambda each: "xmpp:news.example?roster" in (xml.body(each) or ""))


def level(attributes: str) -> str:
    return f"<query xmlns='{xml.ROSTER}'><level xmlns='{levels.LEVELS}' {attributes}/></query>"


QUESTIONS = [
    (levels.roster_query(6), "forbidden"),
    (levels.files_query(0), "forbidden"),
    (level("n='-1'"), "forbidden"),
    (level(f"n='{'9' * 30}'"), "forbidden"),
    (level("n='one'"), "bad-request"),
    (level("n=''"), "bad-request"),
    (level("n='3.5'"), "bad-request"),
    (f"<files xmlns='{levels.FILES}' n='x'/>", "bad-request"),
    (levels.roster_query(page="<max>many</max>"), "bad-request"),
    (levels.roster_query(page="<max/>"), "bad-request"),
    (levels.roster_query(page="<max>-1</max>"), "bad-request"),
    (levels.roster_query(page="<index>0</index><after>x</after>"), "bad-request"),
    (f"<query xmlns='{xml.ROSTER}'/><query xmlns='{xml.ROSTER}'/>", "bad-request"),
    (f"<query xmlns='{xml.DISCO_ITEMS}' node='levels/6'/>", "item-not-found"),
    (f"<query xmlns='{xml.DISCO_INFO}' node='nothing'/>", "item-not-found"),
    ("<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:omemo:2:devices'/></pubsub>", "item-not-found"),
    ("<ping xmlns='urn:xmpp:pong'/>", "service-unavailable"),
]


async def test_a_question_that_nobody_can_ask_is_answered_alike_for_all(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "contacts", 5)
    for query, condition in QUESTIONS:
        answers = [
            levels.same(await s[asker].iq("get", query, levels.face(owner)))
            for asker, owner in (("level1", ALICE), ("stranger", ALICE), ("stranger", "nobody@localhost"))
        ]
        assert set(answers) == {answers[0]}, query
        assert condition in answers[0], query


@pytest.mark.parametrize("payload", [levels.roster_query(5), f"<vCard xmlns='{levels.VCARD}'/>", levels.files_query(5)])
async def test_nothing_of_a_face_can_be_set(around_alice, payload):
    s = await around_alice()
    answers = [
        levels.same(await s[asker].iq("set", payload, levels.face(owner)))
        for asker, owner in (("alice", ALICE), ("level1", ALICE), ("stranger", ALICE), ("stranger", "nobody@localhost"))
    ]
    assert len(set(answers)) == 1
    assert "service-unavailable" in answers[0]


async def test_a_face_can_stand_in_a_roster_and_shows_no_presence(around_alice):
    s = await around_alice()
    bob = s["stranger"]
    for owner in (ALICE, "nobody@localhost"):
        await bob.presence(type="subscribe", to=levels.face(owner))
        answer = await bob.expect(lambda each, owner=owner: xml.name(each) == "presence" and xml.sender(each) == levels.face(owner))
        assert answer.get("type") == "subscribed"
    await bob.settled()
    assert bob.saw(levels.face(ALICE)) == []


async def test_a_face_in_a_roster_is_no_contact_and_blocked_it_blocks_whose_it_is(around_alice):
    s = await around_alice("unlisted")
    alice = s["alice"]
    await commands.run(s["unlisted"], "listable", {"listable": False})
    await levels.open_door(alice, "contacts", 5)
    for name in ("unlisted", "level1", "level2"):
        face = levels.face(f"{name}@localhost")
        await alice.presence(type="subscribe", to=face)
        await alice.until(
            lambda face=face: [each for each in roster_pushes(alice) if (each.get("jid"), each.get("subscription")) == (face, "to")]
        )
    known = {"level5@localhost": (None, ["Level 5"])}
    assert await levels.contacts(s["level1"], ALICE) == known
    assert not [jid for jid, _ in (await commands.run(alice, "levels")).rows if jid.endswith(COMPONENT)]
    await alice.block(levels.face("level2@localhost"))

    async def is_refused() -> bool:
        return xml.condition(await s["level2"].iq("get", levels.roster_query(), levels.face(ALICE))) == "forbidden"

    await eventually(is_refused, what="the block list is known")
    assert await levels.contacts(s["level1"], ALICE) == known


def roster_pushes(client: RawClient) -> list[xml.Element]:
    """The items of the roster pushes that a client got."""
    queries = [each[0] for each in client.received if each.get("type") == "set" and xml.name(each) == "iq" and len(each)]
    return [item for query in queries for item in xml.children(query, "item", xml.ROSTER)]


async def test_forms_are_taken_as_clients_send_them(around_alice):
    s = await around_alice()
    alice = s["alice"]
    form = await commands.execute(alice, "open")
    assert {field.get("var"): field.get("type") for field in form.fields} == {
        "FORM_TYPE": "hidden",
        "door": "list-single",
        "levels": "list-multi",
        "share_names": "boolean",
    }
    asked = await commands.submit(alice, form, {"door": "contacts", "levels": ["5"], "share_names": "true", "more": "x"}, action=None)
    answer = await commands.submit(alice, asked, {"confirm": "true"}, action=None)
    assert answer.status == "completed"
    assert await levels.contacts(s["level1"], ALICE) == {"level5@localhost": ("Level5", ["Level 5"])}
    wrong = await commands.submit(alice, await commands.execute(alice, "label"), {"contact": "level1@localhost", "pin": True})
    assert wrong.status == "executing"
    assert "level" in (xml.text(wrong.form, "instructions") or "")
    assert [kind for kind, _ in wrong.notes] == ["error"]


async def test_who_is_no_user_of_ours_finds_only_the_commands_they_may_use(federated):
    _one, _two, _alice, bob = await federated()
    answer = await bob.iq("get", f"<query xmlns='{xml.DISCO_ITEMS}' node='{xml.COMMANDS}'/>", COMPONENT)
    nodes = {item.get("node") for item in answer[0]}
    assert nodes >= {"contacts-of", "files-of", "introduce", "listable", "real-name", "help"}
    assert not nodes & {"open", "label", "levels", "share", "access-log", "presence"}


@pytest.fixture
async def federated(make_server, rapport, client):
    """Alice here, with a contact bob on another server."""

    async def make():
        here = Host("localhost", {"alice": [Contact("bob@there.localhost"), Contact("carol@localhost")], "carol": [Contact(ALICE)]})
        there = Host("there.localhost", {"bob": [Contact(ALICE)], "eve": []}, served=False)
        two = await make_server([there], peers={}, module=False)
        one = await make_server([here], peers={"there.localhost": two.s2s_port})
        two.peers = {"localhost": one.s2s_port, COMPONENT: one.s2s_port}
        two.component = "another.there.localhost"  # else it would take Rapport's domain for its own
        await two.restart()
        await rapport(one)
        return one, two, await client(one, f"{ALICE}/phone"), await client(two, "bob@there.localhost/phone")

    return make


async def test_a_contact_on_another_server_asks_talks_and_opts_out(federated, client):
    _one, two, alice, bob = await federated()
    await levels.open_door(alice, "contacts", 5)
    assert set(await levels.contacts(bob, ALICE)) == {"carol@localhost"}
    eve = await client(two, "eve@there.localhost/phone")
    assert xml.condition(await eve.iq("get", levels.roster_query(5), levels.face(ALICE))) == "forbidden"
    await commands.run(alice, "real-name", {"fn": "Alice Liddell"})
    named = await commands.run(bob, "real-name", {"fn": "Bob the Builder"})
    assert named.text == "Your real name is Bob the Builder. Those see it to whom you write at their faces."
    await levels.open_door(alice, "real-name", 5)
    await bob.message(levels.face(ALICE), "from afar")
    face = levels.face("bob@there.localhost")
    await alice.until(lambda: alice.bodies(face) == ["from afar"])
    await alice.message(face, "back to you")
    await bob.until(lambda: bob.bodies(levels.face(ALICE)) == ["back to you"])
    await commands.run(bob, "listable", {"listable": False})


async def test_a_remote_contact_who_opts_out_is_not_listed(federated, client):
    one, _two, alice, bob = await federated()
    await levels.open_door(alice, "contacts", 5)
    carol = await client(one, "carol@localhost/phone")
    assert set(await levels.contacts(carol, ALICE)) == {"bob@there.localhost"}
    await commands.run(bob, "listable", {"listable": False})
    assert await levels.contacts(carol, ALICE) == {}


async def test_ten_thousand_contacts_come_by_pages_and_whole_in_pages_that_fit(scene):
    names = [f"contact{number:05}" for number in range(10_000)]
    roster = [Contact(f"{name}@localhost", name=f"Name of {name}", groups=("Everybody",)) for name in names]
    s = await scene("alice", "bob", hosts=[Host(users={"alice": [*roster, Contact("bob@localhost")], "bob": []})])
    await levels.open_door(s["alice"], "contacts", 5, share_names=True)
    bob, face = s["bob"], levels.face(ALICE)

    async def pages(rest: str) -> list[list[str]]:
        found: list[list[str]] = []
        after = ""
        while True:
            answer = await bob.iq("get", levels.roster_query(5, page=f"{rest}{after}"), face, within=20)
            jids = list(levels.listed(answer))
            assert len(xml.dump(answer).encode()) < 256 * 1024
            page = xml.child(answer[0], "set", levels.RSM)
            assert page is not None
            assert xml.text(page, "count") == "10000"
            if not jids:
                return found
            found.append(jids)
            after = f"<after>{xml.text(page, 'last')}</after>"

    thousands = await pages("<max>1000</max>")
    assert [len(page) for page in thousands] == [1000] * 10
    everything = [jid for page in thousands for jid in page]
    assert sorted(everything) == [f"{name}@localhost" for name in names]
    whole = await pages("<max>10000</max>")
    assert [jid for page in whole for jid in page] == everything
    assert list(levels.listed(await bob.iq("get", levels.roster_query(5), face, within=20))) == whole[0], "as much as fits"
    rows = (await commands.run(bob, "contacts-of", {"owner": ALICE})).rows
    assert 500 < len(rows) < 10_000
    assert "contact00000@localhost" in await commands.say(bob, f"contacts-of {ALICE}")
