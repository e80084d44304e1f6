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


ACTS: Sequence[Act] = (presence,)
