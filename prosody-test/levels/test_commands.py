"""S4's commands as a new user meets them: by form, by chat, and by an admin's command line (spec: contact levels, Commands)."""

import asyncio

import pytest
from rig import commands, levels, xml
from rig.server import COMPONENT
from rig.wait import eventually

ALICE, LEVEL2, LEVEL3 = "alice@localhost", "level2@localhost", "level3@localhost"
LINK = "https://upload.example/plan.pdf"
TEXT, JID, BOOLEAN, ONE, SOME = "text-single", "jid-single", "boolean", "list-single", "list-multi"
ASKING = {"owner": JID, "level": ONE, "label": TEXT, "as": JID, "send_links": BOOLEAN, "send_items": BOOLEAN}
FIELDS = {
    "levels": {},
    "label": {"contact": JID, "labels": "text-multi", "level": ONE, "pin": BOOLEAN},
    "open": {"door": ONE, "levels": SOME, "share_names": BOOLEAN},
    "real-name": {"fn": TEXT, "given": TEXT, "family": TEXT, "photo": "text-multi"},
    "listable": {"listable": BOOLEAN},
    "contacts-of": ASKING,
    "files-of": ASKING,
    "share": {"link": TEXT, "name": TEXT, "level": ONE, "revoke": BOOLEAN},
    "introduce": {"owner": JID, "to": JID, "text": TEXT, "use_real_name": BOOLEAN},
    "access-log": {},
}
"""The spec's table: node → fields and their types (a photo may be longer than clients let one line be)."""


async def test_each_command_is_listed_and_its_form_has_the_fields_of_the_spec(around_alice):
    s = await around_alice()
    new = s["stranger"]
    listed = await new.iq("get", f"<query xmlns='{xml.DISCO_ITEMS}' node='{xml.COMMANDS}'/>", COMPONENT)
    assert {item.get("node") for item in listed[0]} >= FIELDS.keys()
    for node, fields in FIELDS.items():
        answer = await commands.execute(new, node)
        assert answer.status == ("executing" if fields else "completed")
        if fields:
            shown = {field.get("var"): field.get("type") for field in answer.fields if field.get("type") != "hidden"}
            assert shown == fields, node
            assert all(field.get("label") for field in answer.fields if field.get("type") != "hidden")
            actions = xml.child(answer.command, "actions")
            assert actions is not None
            assert xml.child(actions, "complete") is not None
            assert answer.form is not None
            assert xml.text(answer.form, "title")
        else:
            assert answer.notes[0][1] in ("You have no contacts yet.", "Nobody has looked yet.")


async def test_a_form_shows_what_is_set_now(around_alice):
    s = await around_alice()
    alice = s["alice"]
    await commands.run(alice, "real-name", {"fn": "Alice Liddell", "given": "Alice", "photo": [LINK]})
    await levels.open_door(alice, "contacts", 1, 3, share_names=True)
    values = (await commands.execute(alice, "real-name")).values
    assert (values["fn"], values["given"], values["family"], values["photo"]) == (["Alice Liddell"], ["Alice"], [], [LINK])
    assert "contacts 1, 3" in (await commands.execute(alice, "open")).text
    assert (await commands.execute(alice, "open")).values["share_names"] == ["1"]


WRONG = [
    ("label", {"contact": "nobody@localhost", "labels": ["x"]}, "contact"),
    ("label", {"contact": LEVEL2, "level": "6"}, "level"),
    ("label", {"contact": LEVEL2, "pin": "1"}, "level"),
    ("label", {"contact": "a@b@c"}, "contact"),
    ("label", {"contact": LEVEL2, "labels": ["x" * 65]}, "labels"),
    ("label", {"contact": LEVEL2, "labels": [f"l{number}" for number in range(17)]}, "labels"),
    ("open", {"door": "windows", "levels": ["1"]}, "door"),
    ("open", {"door": "contacts", "levels": ["0"]}, "levels"),
    ("open", {"levels": ["1"]}, "door"),
    ("real-name", {"fn": "x" * 256}, "fn"),
    ("real-name", {"fn": "Alice", "photo": ["no link"]}, "photo"),
    ("real-name", {"fn": "Alice", "photo": ["data:image/png;base64,!"]}, "photo"),
    ("real-name", {"photo": [LINK]}, "fn"),
    ("listable", {"listable": "perhaps"}, "listable"),
    ("contacts-of", {"owner": ""}, "owner"),
    ("contacts-of", {"owner": ALICE, "level": "x"}, "level"),
    ("files-of", {"owner": ALICE, "send_links": "perhaps"}, "send_links"),
    ("share", {"link": "plan.pdf"}, "link"),
    ("share", {"link": LINK, "name": "x" * 256}, "name"),
    ("share", {"link": LINK, "revoke": "1"}, "link"),
    ("introduce", {"owner": ALICE, "to": "", "text": "hello"}, "to"),
]


async def test_what_is_wrong_comes_back_on_the_form_and_names_the_field(around_alice):
    s = await around_alice()
    for node, values, field in WRONG:
        case = f"{node} {values}"
        asker = s["level3"] if node in ("contacts-of", "files-of", "introduce") else s["alice"]
        form = await commands.execute(asker, node)
        again = await commands.submit(asker, form, values)
        assert again.status == "executing", case
        assert again.form is not None, case
        ((kind, reason),) = again.notes
        assert (kind, xml.text(again.form, "instructions")) == ("error", reason), case
        assert f"({field}):" in reason, case
        assert {each.get("var") for each in again.fields} == {each.get("var") for each in form.fields}, case
        reply = await commands.say(asker, by_chat(node, values))
        assert f"({field}):" in reply, case
        assert "Usage: " in reply, case


def by_chat(node: str, values: dict) -> str:
    """The same by chat."""
    words = [f"{name}='{each}'" for name, value in values.items() for each in ([value] if isinstance(value, str) else value)]
    return " ".join([node, *words])


async def test_all_of_it_by_chat(around_alice):
    s = await around_alice()
    alice, two, three = s["alice"], s["level2"], s["level3"]
    assert "level 2, score 0.00" in await commands.say(alice, "levels")
    assert await commands.say(alice, f"label {LEVEL3} work chess level=3 pin=yes") == (
        f"{LEVEL3}: work, chess, pinned to level 3. Now level 3, score 0.00."
    )
    assert "confirm=yes" in await commands.say(alice, "open contacts 1 3 5 share_names=yes")
    for door in ("contacts", "files", "real-name"):
        assert (await commands.say(alice, f"open {door} 1 3 5 confirm=yes")).startswith("Saved.")
    assert "Alice Liddell" in await commands.say(alice, "real-name Alice Liddell given=Alice family=Liddell")
    assert (await commands.say(alice, f"share {LINK} The plan level=3")).startswith("Shared: The plan, level 3")
    told = await commands.say(two, f"contacts-of {ALICE} 3")
    assert f"{LEVEL3}: level 3, work, chess" in told
    assert await commands.say(two, f"contacts-of {ALICE} 2") == "You may not do that."
    assert LEVEL3 in await commands.say(two, f"contacts-of {ALICE} label=chess")
    assert LEVEL3 not in await commands.say(two, f"contacts-of {ALICE} label=family")
    assert f"The plan: {LINK} (level 3)" in await commands.say(two, f"files-of {ALICE}")
    assert await commands.say(two, f"files-of {ALICE} label=photo") == f"0 files of {ALICE}."
    assert await commands.say(two, f"introduce {ALICE} {LEVEL3} We both play chess") == f"{LEVEL3} has been asked."
    await three.until(lambda: [text for text in three.bodies(commands.CHAT) if "We both play chess" in text])
    assert LEVEL3 not in await commands.say(alice, f"contacts-of {ALICE} as={LEVEL3}")
    assert "You stand in nobody's list" in await commands.say(three, "listable off")
    assert LEVEL3 not in await commands.say(two, f"contacts-of {ALICE} 3")
    log = (await commands.say(alice, "access-log")).splitlines()
    assert log[1].endswith("level2@localhost, contacts, level 3, granted")
    assert any(line.endswith("level2@localhost, contacts, level 2, refused") for line in log)
    assert await commands.say(alice, f"share {LINK} revoke=yes") == "Nobody sees this file any more."


async def test_files_come_one_by_one_or_all_in_one_message(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 5)
    for number in range(3):
        await commands.run(s["alice"], "share", {"link": f"https://upload.example/{number}"})
    bob = s["level1"]
    await commands.run(bob, "files-of", {"owner": ALICE, "send_items": True})
    together = await bob.expect(lambda each: xml.sender(each) == commands.CHAT)
    assert [levels.shared(each)["link"] for each in xml.children(together, "file-sharing", levels.SFS)] == [
        f"https://upload.example/{number}" for number in range(3)
    ]
    await commands.run(bob, "files-of", {"owner": ALICE, "send_links": True, "label": "2"})
    assert xml.body(await bob.expect(lambda each: xml.sender(each) == commands.CHAT)) == "https://upload.example/2"


async def test_an_admin_gives_a_users_commands_at_the_command_line(around_alice):
    s = await around_alice()

    async def admin(*words: str) -> str:
        done = await s.rapport.cli("admin", "--asker", ALICE, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    listed = await admin()
    assert all(node in listed for node in FIELDS)
    assert "level 3, score 0.00" in await admin("levels")
    assert "work, at least level 1" in await admin("label", LEVEL3, "--labels", "work", "--level", "1")
    assert (await admin("open", "contacts", "--levels", "1,5", "--confirm")).startswith("Saved.")
    assert "level5@localhost" in await admin("contacts-of", ALICE, "--as", LEVEL2)
    assert "Alice Liddell" in await admin("real-name", "Alice Liddell")
    assert "plan.pdf" in await admin("share", LINK)
    assert "nobody's list" in await admin("listable", "off")
    assert "Nobody has looked yet." in await admin("access-log")
    wrong = await s.rapport.cli("admin", "--asker", ALICE, "label", "nobody@localhost", "--labels", "x")
    assert (wrong.returncode, wrong.stderr) == (1, "contact: nobody@localhost is none of your contacts\n")
    nobody = await s.rapport.cli("admin", "levels")
    assert nobody.returncode == 1
    assert "--asker" in nobody.stderr
    odd = await s.rapport.cli("admin", "--asker", "a@b@c", "levels")
    assert odd.returncode == 1
    assert odd.stderr.startswith("asker: ")


async def test_of_one_user_two_sessions_may_have_a_form_open_and_nobody_can_use_anothers(around_alice):
    s = await around_alice()
    alice = s["alice"]
    first, second = await asyncio.gather(commands.execute(alice, "label"), commands.execute(alice, "label"))
    await commands.submit(alice, second, {"contact": LEVEL2, "labels": ["second"], "level": "2"})
    await commands.submit(alice, first, {"contact": LEVEL3, "labels": ["first"], "level": "3"})
    rows = dict((await commands.run(alice, "levels")).rows)
    assert (rows[LEVEL2].split(", ")[-1], rows[LEVEL3].split(", ")[-1]) == ("second", "first")
    form = await commands.execute(alice, "label")
    for session in (form.session, "", "none"):
        form.command.set("sessionid", session)
        with pytest.raises(commands.CommandError, match="bad-request"):
            await commands.submit(s["level2"], form, {"contact": ALICE, "labels": ["theirs"]})

    async def untouched() -> bool:
        return dict((await commands.run(alice, "levels")).rows) == rows

    await eventually(untouched, what="nothing has changed")
