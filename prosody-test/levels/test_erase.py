"""All that is kept of a user: exported, erased, and gone with the account (spec: overview, Command line), on both databases."""

import json
import stat
from collections.abc import Awaitable, Callable

import pytest
from rig import commands, levels, xml
from rig.scene import Scene
from rig.server import COMPONENT, Contact, Host, friends
from rig.storage import mentions
from rig.wait import eventually

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"
FACE = levels.face(ALICE)
SHOP = f"shop@{COMPONENT}"
LINK = "https://upload.example/plan.pdf"
HERS = (ALICE, "alice\\40localhost")
"""How she is named, in the component's own addresses too."""


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "sqlite" else request.getfixturevalue("postgres").database()


@pytest.fixture
async def busy(scene: Callable[..., Awaitable[Scene]], storage: str | None) -> Callable[..., Awaitable[Scene]]:
    """Alice has used all there is: as a user, a contact of bob's and carol's, a customer and a sub-user."""

    async def make() -> Scene:
        people = friends("alice", "bob", "carol") | {"admin": []}
        teams = [{"node": "shop", "name": "The Bookshop", "members": [CAROL]}]
        s = await scene("alice", "bob", "carol", "admin", hosts=[Host(users=people)], settings={"virtual": teams}, storage=storage)
        alice, bob, admin = s["alice"], s["bob"], s["admin"]
        for number in range(6):
            await alice.message(BOB, f"to bob {number}")
            await bob.message(ALICE, f"to alice {number}")
        await s.settled()
        for name in ("alice", "bob"):
            await s.set_rules(name, unanswered="xa")
        await s.always(CAROL, "dnd")
        await s.always(ALICE, "away", name="bob")
        await commands.run(alice, "label", {"contact": BOB, "labels": ["chess"], "level": "1"})
        await commands.run(bob, "label", {"contact": ALICE, "labels": ["family"], "level": "1", "pin": True})
        for door in ("contacts", "real-name", "files"):
            await levels.open_door(alice, door, 1, 2, 3, 4, 5)
            await levels.open_door(bob, door, 1, 2, 3, 4, 5)
        await commands.run(alice, "real-name", {"fn": "Alice Liddell"})
        await commands.run(bob, "real-name", {"fn": "Bob the Builder"})
        await commands.run(alice, "listable", {"listable": False})
        await commands.run(alice, "share", {"link": LINK})
        await levels.contacts(bob, ALICE)
        await levels.contacts(alice, BOB)
        await bob.message(FACE, "under our real names")
        await alice.until(lambda: alice.bodies(levels.face(BOB)))
        await alice.message(levels.face(BOB), "and back")
        await bob.until(lambda: bob.bodies(FACE))
        await commands.run(alice, "introduce", {"owner": BOB, "to": CAROL, "text": "hello"})
        await alice.presence(type="subscribe", to=SHOP)
        await alice.message(SHOP, "have you a book?")
        await s["carol"].until(lambda: s["carol"].bodies(f"alice\\40localhost%{SHOP}"))
        await commands.run(admin, "virtual-users", {"action": "add", "node": "desk", "name": "The Desk"})
        await commands.run(admin, "virtual-members", {"virtual": "desk", "action": "add", "member": f"{ALICE}/phone"})
        await bob.message(f"desk@{COMPONENT}", "is anybody there?")
        desk = f"bob\\40localhost%desk@{COMPONENT}"
        await alice.until(lambda: alice.bodies(desk))
        await alice.message(desk, "I am")
        await bob.until(lambda: bob.bodies(f"desk@{COMPONENT}"))
        await s.settled()
        return s

    return make


def hers(s: Scene) -> dict[str, int]:
    return mentions(s.rapport.storage, *HERS)


async def test_an_export_has_each_row_of_the_database_that_names_the_user(busy):
    s = await busy()
    done = await s.rapport.cli("admin", "export", ALICE)
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["user"] == ALICE
    told = {table: len(rows) for table, rows in document["records"].items()}
    stored = {table: number for table, number in hers(s).items() if table != "jids"}  # there the ledger has names
    assert {table: told[table] for table in stored} == stored | {"virtual_lines": 2}  # what she wrote as a customer does not name her
    assert set(told) - set(stored) == {"facts", "pairs", "scores"}
    written = {(row["sender"], row["recipient"]) for row in document["records"]["facts"]}
    assert written == {(ALICE, BOB), (BOB, ALICE)}
    assert "Alice Liddell" in done.stdout
    assert "hello" not in done.stdout
    out = s.rapport.dir / "alice.json"
    assert (await s.rapport.cli("admin", "export", ALICE, "--out", str(out))).returncode == 0
    assert json.loads(out.read_text())["records"] == document["records"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    again = await s.rapport.cli("admin", "export", ALICE, "--out", str(out))
    assert again.returncode == 1
    assert "File exists" in again.stderr
    answer = await commands.run(s["admin"], "export", {"user": "ALICE@localhost/phone"})
    assert {label.partition(" ")[0] for label, _row in answer.rows} == set(told)
    listed = await s.rapport.cli("admin", "users")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == [ALICE, BOB, CAROL]


async def test_after_erase_no_row_names_the_user_and_others_keep_theirs(busy):
    s = await busy()
    await s["carol"].sees(ALICE, "dnd")
    await s["alice"].sees(BOB, "away")
    asked = await s.rapport.cli("admin", "erase", ALICE)
    assert asked.returncode == 1
    assert "--confirm" in asked.stdout
    assert hers(s)["levels_real_names"] == 1
    before = mentions(s.rapport.storage, BOB)
    done = await s.rapport.cli("admin", "erase", ALICE, "--confirm")
    assert done.returncode == 0, done.stderr
    await s.settled()
    assert hers(s) == {}
    after = mentions(s.rapport.storage, BOB)
    for table in ("presence_users", "levels_doors", "levels_real_names", "virtual_conversations"):
        assert after[table] == before[table], table
    await s["carol"].sees(ALICE, "online")
    await s["alice"].sees(BOB, "online")
    assert (await commands.run(s["alice"], "access-log")).rows == []
    assert await known_of_alice(s) == NOTHING
    await s.rapport.restart()
    assert await known_of_alice(s) == NOTHING


async def test_what_comes_after_erase_is_remembered_anew(busy):
    s = await busy()
    await commands.say(s["admin"], f"erase {ALICE} confirm=yes")
    for number in range(3):
        await s["alice"].message(BOB, f"new to bob {number}")
        await s["bob"].message(ALICE, f"new to alice {number}")
    await s["alice"].message(SHOP, "have you another book?")
    await s["carol"].until(lambda: len(s["carol"].bodies(f"alice\\40localhost%{SHOP}")) == 2)
    await s.settled()
    assert dict((await commands.run(s["alice"], "levels")).rows)[BOB].startswith("level 3, score 6.00")


@pytest.mark.parametrize("down", [False, True], ids=["", "while Rapport is down"])
async def test_the_next_account_of_the_name_of_a_deleted_one_inherits_nothing(busy, down):
    s = await busy()
    if down:
        await s.rapport.kill()
    await s["alice"].close()
    await s.server.delete_account("alice")
    await s.server.add_account("alice")
    await s.server.set_contact("alice", Contact(BOB))
    await s.server.set_contact("bob", Contact(ALICE))
    if down:
        await s.rapport.start()

    async def erased() -> bool:
        return not hers(s)

    await eventually(erased, what="nothing is kept of the account that is gone")
    await s.enter("alice")
    assert await known_of_alice(s) == NOTHING
    bob, desk = s["bob"], f"desk@{COMPONENT}"
    start = s["alice"].mark()
    await bob.message(desk, "is anybody there?")
    await bob.until(lambda: [text for text in bob.bodies(desk) if "Nobody" in text])
    assert s["alice"].bodies(f"bob\\40localhost%{desk}", start) == []


async def known_of_alice(s: Scene) -> dict[str, object]:
    """What Rapport knows of her, as she and bob see it."""
    alice, bob = s["alice"], s["bob"]
    mine = dict((await commands.run(alice, "levels")).rows)
    bobs = dict((await commands.run(bob, "levels")).rows)
    card = await bob.iq("get", f"<vCard xmlns='{levels.VCARD}'/>", FACE)
    return {
        "her level for bob": bobs.get(ALICE),
        "bob's level for her": mine.get(BOB),
        "her card": [text for text in card[0].itertext() if text],
        "bob at her door": xml.condition(await bob.iq("get", levels.roster_query(), FACE)),
        "listable": (await commands.execute(alice, "listable")).values["listable"],
        "presence": (await commands.execute(alice, "presence")).values["enabled"],
    }


NOTHING = {
    "her level for bob": "level 5, score 0.00",
    "bob's level for her": "level 5, score 0.00",
    "her card": ["alice"],
    "bob at her door": "forbidden",
    "listable": ["1"],
    "presence": ["0"],
}
