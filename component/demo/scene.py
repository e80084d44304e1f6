"""The scene: a few people, real clients, and what Rapport makes of it. Every line is printed only after it was seen."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from component.demo.client import Client
from component.demo.server import COMPONENT, HOST

ROSTERS: Mapping[str, Sequence[tuple[str, str]]] = {
    "alice": [("bob", "Bob"), ("carol", "Carol")],
    "bob": [("alice", "Alice")],
    "carol": [("alice", "Alice")],
    "dan": [],
}
"""User → contacts of the demo."""
ALICE = f"alice@{HOST}"
FACES = {user: f"{user}\\40{HOST}@{COMPONENT}" for user in ROSTERS}
"""The users' public faces (S4)."""
SHOP = f"shop@{COMPONENT}"
DAN_AT_SHOP = f"dan\\40{HOST}%shop@{COMPONENT}"
"""The conversation of customer dan with the shop, as its sub-users see it (S3)."""


class Page(Protocol):
    """Where the scene is written."""

    def title(self, text: str) -> None: ...

    def line(self, who: str, does: str, then: str) -> None:
        """Somebody does something, and this is what came of it."""


People = Mapping[str, Client]
Act = Callable[[People, Page], Awaitable[None]]


async def presence(people: People, page: Page) -> None:
    """S0: each contact sees the presence that fits."""
    alice, bob, carol = people["alice"], people["bob"], people["carol"]
    page.title("Presence rules: each contact sees the presence that fits their recent contact")
    page.line("alice", "writes to Rapport: presence on", (await asks(alice, "presence on")).splitlines()[0])
    await bob.sees(ALICE, "online")
    await carol.sees(ALICE, "online")
    bob.say(ALICE, "Lunch at one?")
    await bob.sees(ALICE, "away")
    page.line("bob", "writes to alice", "bob sees alice away: she has not answered him yet")
    await carol.sees(ALICE, "dnd")
    page.line("", "", "carol sees alice do not disturb: a message waits for her")
    alice.say(f"bob@{HOST}", "Yes!")
    await bob.sees(ALICE, "online")
    page.line("alice", "answers bob", "bob sees alice online: they are talking")
    await carol.sees(ALICE, "online")
    page.line("", "", "carol sees alice online: nothing is unread any more")
    answer = await asks(alice, f"why bob@{HOST}")
    page.line("alice", "asks Rapport: why bob", next(line for line in answer.splitlines() if line.startswith("Presence")))


async def virtual_users(people: People, page: Page) -> None:
    """S3: one address stands for a team."""
    alice, bob, carol, dan = people["alice"], people["bob"], people["carol"], people["dan"]
    page.title("Virtual users: one address stands for a team, and each customer comes back to the same person")
    command = "virtual-users add shop 'The Bookshop' absence_grace=0s"
    page.line("alice, an admin,", f"writes: {command}", (await asks(alice, command)).splitlines()[0])
    for member in (bob, carol):
        command = f"virtual-members add shop {member.user}@{HOST}"
        page.line("alice", f"writes: {command}", (await asks(alice, command)).splitlines()[0])
    dan.send_presence_subscription(SHOP)
    await dan.sees(SHOP, "online")
    page.line("dan", f"adds {SHOP}", "dan sees it online: one of the team is")
    dan.say(SHOP, "Do you have Udolpho?")
    page.line("dan", "writes to the shop", f"bob reads {await bob.hears(DAN_AT_SHOP)!r} from {DAN_AT_SHOP}")
    bob.say(DAN_AT_SHOP, "All four volumes.")
    page.line("bob", "answers", f"dan reads {await dan.hears(SHOP)!r} from {SHOP}; nothing in it names bob")
    bob.say(DAN_AT_SHOP, "/transfer carol")
    page.line("bob", "writes: /transfer carol", await bob.hears(DAN_AT_SHOP))
    page.line("", "", f"carol reads the last lines: {(await carol.hears(DAN_AT_SHOP)).splitlines()[-1]}")
    dan.say(SHOP, "Please keep them for me.")
    page.line("dan", "writes again", f"carol reads {await carol.hears(DAN_AT_SHOP)!r}: the conversation is hers")
    carol.say(DAN_AT_SHOP, "/why")
    page.line("carol", "writes: /why", await carol.hears(DAN_AT_SHOP))
    for member in (bob, carol):
        member.send_presence(ptype="unavailable")
    await dan.sees(SHOP, "offline")
    page.line("bob and carol", "leave", "dan sees the shop offline")
    dan.say(SHOP, "When do you close?")
    page.line("dan", "writes", f"dan reads {await dan.hears(SHOP)!r}")
    carol.send_presence()
    page.line("carol", "comes back", f"carol reads {await carol.hears(DAN_AT_SHOP)!r}")
    bob.send_presence()
    await dan.sees(SHOP, "online")


async def levels(people: People, page: Page) -> None:
    """S4: how close a contact is decides what they may see."""
    alice, bob, carol = people["alice"], people["bob"], people["carol"]
    page.title("Contact levels: contacts see the levels that alice opened, those as close as themselves or less")
    page.line("alice", f"writes: label bob@{HOST} family level=2", await asks(alice, f"label bob@{HOST} family level=2"))
    page.line("alice", "writes: open contacts 2 5", await asks(alice, "open contacts 2 5 confirm=yes"))
    answer = await asks(bob, f"contacts-of {ALICE}")
    page.line("bob", "asks for alice's contacts", answer.splitlines()[-1])
    answer = await asks(carol, f"contacts-of {ALICE} 2")
    page.line("carol", "asks for level 2 of them", f"{answer} She is not that close, and is told no more than a stranger")
    await asks(alice, "real-name Alice Liddell")
    await asks(alice, "open real-name 2 confirm=yes")
    await asks(bob, "real-name Bob the Builder")
    answer = await asks(alice, "access-log")
    page.line("alice", "asks Rapport: access-log", answer.splitlines()[1].partition("UTC: ")[2])
    bob.say(FACES["alice"], "Good day!")
    heard = await alice.hears(FACES["bob"])
    page.line("bob", "writes to alice's public face", f"alice reads {heard!r} from his: {FACES['bob']}")


async def asks(person: Client, words: str) -> str:
    """Gives Rapport a command by chat: its answer."""
    person.say(COMPONENT, words)
    return await person.hears(COMPONENT)


ACTS: Sequence[Act] = (presence, virtual_users, levels)
