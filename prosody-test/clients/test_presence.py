"""Presence rules (S0), as people use and see them in their own clients."""

from collections.abc import Awaitable, Callable

from rig.commands import CHAT
from rig.scene import Scene
from rig.server import friends

from clients.conftest import Desk, Picture

ALICE, BOB, CAROL = "alice@localhost", "bob@localhost", "carol@localhost"
TITLES = {"presence": "Presence rules", "presence-always": "Fixed presence for a contact or group", "explain": "Why a contact sees"}


async def test_a_user_sets_presence_rules_by_form_and_asks_why(
    kind: str, stage: Callable[..., Awaitable[Scene]], desk: Desk, picture: Picture
) -> None:
    scene = await stage(friends("alice", "bob", "carol"), "bob", "carol")
    alice = await desk.log_in(kind, scene.server, "alice")

    await alice.list_commands()
    await alice.reads(*(TITLES if alice.lists_nodes else TITLES.values()))
    await picture(alice, "commands")

    await alice.execute("presence")
    await alice.reads("After you wrote, a contact counts as talking for", "30m")
    await alice.fill({"Show each": True, "After you wrote": "20m", "All others see, while": "xa", "Status text while busy": "Back soon"})
    await picture(alice, "presence-form")
    await alice.fill({"After you wrote": "bad"})
    await alice.submit()
    await alice.reads("(sent_window): 'bad' is no duration")
    await alice.fill({"After you wrote": "20m"})
    await alice.submit()
    await alice.reads("busy", "xa (Back soon)", "windows", "sent 20m, received 30m")

    await alice.list_commands()
    await alice.execute("explain")
    await alice.reads("Contact (empty: all of them)")
    await alice.fill({"Contact": BOB})
    await alice.submit()
    await alice.reads("Presence", "own presence (free)", "nothing unread", "not by itself")

    await alice.list_commands()
    await alice.execute("explain")
    await alice.reads("Contact (empty: all of them)")
    await alice.submit()
    await alice.reads(BOB, CAROL, "own presence (free)")

    await alice.roster()
    await alice.open_chat(CHAT)
    await alice.say("help")
    await alice.hears("always CONTACT|group:NAME OUTCOME|rules [DURATION]", "why CONTACT")


async def test_a_contact_sees_in_the_roster_what_fits_their_recent_contact(
    kind: str, stage: Callable[..., Awaitable[Scene]], desk: Desk, picture: Picture
) -> None:
    scene = await stage(friends("alice", "bob", "carol"), "alice", "carol")
    await scene.set_rules()
    bob = await desk.log_in(kind, scene.server, "bob")
    await bob.roster()
    await bob.sees(ALICE, "online")

    await scene["carol"].message(ALICE, "Are you there?")
    await bob.sees(ALICE, "dnd")

    await bob.open_chat(ALICE)
    await bob.say("Lunch at one?")
    await scene["alice"].until(lambda: "Lunch at one?" in scene["alice"].bodies(BOB), 5, "alice gets bob's message")
    await bob.roster()
    await bob.sees(ALICE, "away")
    await picture(bob, "presence")

    await scene["alice"].message(BOB, "Yes!")
    await bob.sees(ALICE, "online")

    await bob.open_chat(CHAT)
    await bob.say(f"why {ALICE}")
    await bob.hears(f"What {ALICE} sees of you", "you wrote", "they wrote")
