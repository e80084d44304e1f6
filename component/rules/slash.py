"""Slash commands: what a sub-user's line in a conversation means (spec/20-virtual.md, A message from a sub-user)."""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum


class Word(Enum):
    """The commands, as they are typed behind the slash."""

    TRANSFER = "transfer"
    CLOSE = "close"
    WHO = "who"
    WHY = "why"
    NOTE = "note"
    HELP = "help"


USAGE = {
    Word.TRANSFER: ("/transfer NAME", "hands the conversation to another sub-user: JID, local part or name"),
    Word.CLOSE: ("/close", "ends the conversation; the customer's next message begins a new one"),
    Word.WHO: ("/who", "says who has the conversation, and who of the team is there"),
    Word.WHY: ("/why", "says why the conversation came to whom it came"),
    Word.NOTE: ("/note TEXT", "keeps a note for whoever gets the conversation; the customer does not see it"),
    Word.HELP: ("/help", "lists these commands"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """Goes on to the customer as `text`."""

    text: str


@dataclass(frozen=True, slots=True)
class Order:
    """A command, and what was typed behind it."""

    word: Word
    rest: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """A slash with something behind it that is no command: answered, never sent on. `nearest` is empty where nothing is near."""

    word: str
    nearest: str


def read(body: str) -> Line | Order | Unknown:
    """What a body means. `//` sends a slash, and `/me …` is no command (XEP-0245)."""
    if not body.startswith("/"):
        return Line(body)
    if body.startswith("//"):
        return Line(body[1:])
    first, *others = body[1:].split(maxsplit=1) if body[1:2].strip() else ["", body[1:]]
    if first == "me":
        return Line(body)
    typed = first.casefold()
    for word in Word:
        if word.value == typed:
            return Order(word, others[0].strip() if others else "")
    near = get_close_matches(typed, [word.value for word in Word], n=1)
    return Unknown(first, near[0] if near else "")
