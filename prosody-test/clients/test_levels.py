"""Contact levels (S4), as people use them in their own clients."""

from collections.abc import Awaitable, Callable

from rig import commands, levels, xml
from rig.scene import Scene
from rig.server import friends

from clients.conftest import Desk, Picture

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"


async def test_a_user_labels_contacts_opens_levels_and_looks_as_another(
    kind: str, stage: Callable[..., Awaitable[Scene]], desk: Desk, picture: Picture
) -> None:
    scene = await stage(friends("alice", "bob", "carol"), "alice", "bob")
    await levels.pin(scene["alice"], CAROL, 3)
    for _ in range(3):
        await scene["alice"].message(BOB, "Your move.")
        await scene["bob"].message(ALICE, "Your move.")
    await scene.settled()
    alice = await desk.log_in(kind, scene.server, "alice")

    await alice.list_commands()
    await alice.execute("label")
    await alice.reads("Labels, one a line")
    await alice.fill({"Contact": BOB, "Labels": ["family", "chess"], "At least": "1", "Exactly": True})
    await alice.submit()
    await alice.reads(f"{BOB}: family, chess, pinned to level 1.")

    await alice.list_commands()
    await alice.execute("levels")
    await alice.reads(BOB, "level 1, score 6.00, family, chess", CAROL, "level 3")
    await picture(alice, "levels")

    await alice.list_commands()
    await alice.execute("open")
    await alice.reads("Levels (none: closed)")
    await alice.fill({"Open": "contacts", "Levels": ["1", "3"]})
    await alice.submit()
    await alice.reads("open at levels 1, 3. 2 contacts gain by it", "Save this")
    await alice.submit()
    await alice.reads("Saved.")

    await alice.list_commands()
    await alice.execute("contacts-of")
    await alice.reads("Of whom")
    await alice.fill({"Of whom": ALICE, "Of yourself": BOB})
    await alice.submit()
    await alice.reads(CAROL, "level 3")


async def test_a_user_shares_a_file_and_finds_a_contacts(kind: str, stage: Callable[..., Awaitable[Scene]], desk: Desk) -> None:
    scene = await stage(friends("alice", "bob"), "bob")
    alice = await desk.log_in(kind, scene.server, "alice")

    await alice.list_commands()
    await alice.execute("share")
    await alice.reads("Link of the file")
    await alice.fill({"Link": "plan.pdf"})
    await alice.submit()
    await alice.reads("Link of the file (link): 'plan.pdf' is no http or https link")
    await alice.fill({"Link": "https://upload.example/plan.pdf", "Name": "The plan", "For level": "3"})
    await alice.submit()
    await alice.reads("Shared: The plan, level 3. Nobody sees it until you open that")

    await alice.list_commands()
    await alice.execute("open")
    await alice.reads("Levels (none: closed)")
    await alice.fill({"Open": "files", "Levels": ["3"]})
    await alice.submit()
    await alice.reads("open at level 3. 0 contacts gain by it")
    await alice.submit()
    await alice.reads("Saved.")
    await levels.pin(scene["bob"], ALICE, 2)
    await levels.open_door(scene["bob"], "files", 2)
    await commands.run(scene["bob"], "share", {"link": "https://upload.example/tour.jpg", "name": "The tour"})

    await alice.list_commands()
    await alice.execute("files-of")
    await alice.reads("Of whom", "Only those named like this")
    await alice.fill({"Of whom": BOB})
    await alice.submit()
    await alice.reads("The tour", "https://upload.example/tour.jpg (every open level)")

    await alice.list_commands()
    await alice.execute("access-log")
    await alice.reads("Nobody has looked yet.")


async def test_two_talk_under_their_real_names(kind: str, stage: Callable[..., Awaitable[Scene]], desk: Desk) -> None:
    scene = await stage(friends("alice", "bob"), "alice", "bob")
    for name, real in (("alice", "Alice Liddell"), ("bob", "Bob the Builder")):
        await commands.run(scene[name], "real-name", {"fn": real})
    await levels.open_door(scene["alice"], "real-name", 5)
    alice = await desk.log_in(kind, scene.server, "alice")

    await scene["bob"].message(levels.face(ALICE), "Good day, Alice.")
    # Converse.js asks for the card once, and bob's has his name for those who have got a message of his.
    await scene["alice"].expect(lambda each: xml.body(each) == "Good day, Alice.", within=15)
    await alice.open_chat(levels.face(BOB))
    await alice.hears("Good day, Alice.", *(["Bob the Builder"] if kind != "profanity" else []))
    await alice.say("Good day, Bob.")
    got = await scene["bob"].expect(lambda each: xml.body(each) == "Good day, Bob.", within=15)
    assert (xml.sender(got), xml.text(got, "nick", levels.NICK)) == (levels.face(ALICE), "Alice Liddell")
