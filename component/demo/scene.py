"""The scene: a few people, real clients, and what Rapport makes of it. Every line is printed only after it was seen."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from component.demo.client import Client
from component.demo.server import COMPONENT, HOST

ROSTERS: Mapping[str, Sequence[tuple[str, str]]] = {
    "alice": [("bob", "Bob"), ("carol", "Carol")],
    "bob": [("alice", "Alice")],
    "carol": [("alice", "Alice")],
}
"""User → contacts of the demo."""
ALICE = f"alice@{HOST}"
FACES = {user: f"{user}\\40{HOST}@{COMPONENT}" for user in ROSTERS}
"""The users' public faces (S4)."""


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
    alice.say(COMPONENT, "presence on")
    answer = await alice.hears(COMPONENT)
    page.line("alice", "writes to Rapport: presence on", answer.splitlines()[0])
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
    alice.say(COMPONENT, f"why bob@{HOST}")
    answer = await alice.hears(COMPONENT)
    page.line("alice", "asks Rapport: why bob", next(line for line in answer.splitlines() if line.startswith("Presence")))


async def levels(people: People, page: Page) -> None:
    """S4: how close a contact is decides what they may see."""
    alice, bob, carol = people["alice"], people["bob"], people["carol"]
    page.title("Contact levels: contacts see the levels that alice opened, those as close as themselves or less")

    async def asks(person: Client, words: str) -> str:
        person.say(COMPONENT, words)
        return await person.hears(COMPONENT)

    page.line("alice", f"writes: label bob@{HOST} family level=2", await asks(alice, f"label bob@{HOST} family level=2"))
    page.line("alice", "writes: open contacts 2 5", await asks(alice, "open contacts 2 5 confirm=yes"))
    answer = await asks(bob, f"contacts-of {ALICE}")
    page.line("bob", "asks for alice's contacts", answer.splitlines()[-1])
    answer = await asks(carol, f"contacts-of {ALICE} 2")
    page.line("carol", "asks for level 2 of them", f"{answer} She is not that close, and is told no more than a stranger")
    await asks(alice, "real-name Alice Liddell")
    await asks(alice, "open real-name 2 confirm=yes")
    await asks(bob, "real-name Bob the Builder")
    bob.say(FACES["alice"], "Good day!")
    heard = await alice.hears(FACES["bob"])
    page.line("bob", "writes to alice's public face", f"alice reads {heard!r} from his: {FACES['bob']}")
    alice.say(COMPONENT, "access-log")
    answer = await alice.hears(COMPONENT)
    page.line("alice", "asks Rapport: access-log", answer.splitlines()[1].partition("UTC: ")[2])


ACTS: Sequence[Act] = (presence, levels)
