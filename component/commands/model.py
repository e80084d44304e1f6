"""What a command is: defined once, reached as ad-hoc form, chat words and command line (spec/00-overview.md, One definition).

A capability's commands.py builds `Command`s; registry.py knows them all; adhoc.py, chat.py and the command line are their faces.
Values arrive parsed and checked: a run never sees a string that its field would refuse.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Type(Enum):
    """A field's type: its XEP-0004 form type, and what a submitted text becomes."""

    TEXT = "text-single"
    """str"""
    LINES = "text-multi"
    """tuple[str, ...]; the empty tuple where nothing was given"""
    SECRET = "text-private"  # noqa: S105 - a form type, no secret
    """str"""
    BOOLEAN = "boolean"
    """bool; takes 1/0, true/false, on/off, yes/no"""
    JID = "jid-single"
    """str: a normalised bare or full JID"""
    CONTACT = "contact"
    """str as it was typed (commands/contacts.py tells who is meant), sent as jid-single"""
    CHOICE = "list-single"
    """str: one of the options"""
    CHOICES = "list-multi"
    """tuple[str, ...] of the options, in the options' order unless `ordered`"""
    DURATION = "duration"
    """float, seconds; shown as `30m`, sent as text-single"""
    NUMBER = "number"
    """float, sent as text-single"""
    WHOLE = "whole"
    """int, sent as text-single"""

    @property
    def form_type(self) -> str:
        """The type of its form field (XEP-0004, 3.3)."""
        return _FORM_TYPES.get(self, self.value)


_FORM_TYPES = {Type.CONTACT: Type.JID.value, **dict.fromkeys((Type.DURATION, Type.NUMBER, Type.WHOLE), Type.TEXT.value)}


@dataclass(frozen=True)
class Field:
    """One field of a command.

    `value`: what the form shows now (None: nothing). `required`: it can't be empty; left out of a submit it means unchanged (`value`),
    or an error where there is no value. A field that is not required and left out means empty: None, or () where many are taken.
    A BOOLEAN can't be empty: left out it means unchanged, False where there is no value. A SECRET is never shown: empty it means
    unchanged. Chat words and the command line change only the fields that they name.
    `least`/`most`: inclusive range for DURATION (seconds), NUMBER and WHOLE.
    """

    name: str
    label: str
    type: Type = Type.TEXT
    value: Any = None
    required: bool = False
    options: Sequence[tuple[str, str]] = ()
    """(value, label) pairs of CHOICE and CHOICES."""
    least: float | None = None
    most: float | None = None
    ordered: bool = False
    """CHOICES only: the order in which the values were given counts. Its form field is text-multi, an option a line."""
    help: str = ""

    @property
    def form_type(self) -> str:
        """The type of its form field (XEP-0004, 3.3)."""
        # Converse.js 14 and Gajim 1.7.3 send a list-multi in the order of its options.
        return Type.LINES.form_type if self.ordered else self.type.form_type


Values = Mapping[str, Any]
"""Field name → parsed value, one entry for every field of the command."""


@dataclass(frozen=True)
class Asker:
    """Who gives the command: `jid` as it came (full JID, or the admin at the command line), and whether they are an admin."""

    jid: str
    bare: str
    admin: bool
    local: bool
    """A user at a served host."""


@dataclass(frozen=True)
class Row:
    """A row of a table: its name and the rest (a plain result field; never <reported/>: facts/clients.md 1.1)."""

    label: str
    value: str


@dataclass(frozen=True)
class Answer:
    """What a command answers: a note in one or two plain sentences, and rows where it has a table."""

    note: str
    rows: Sequence[Row] = ()
    document: str = ""
    """JSON that says the same in full: what the command line prints instead of the rows."""


@dataclass(frozen=True)
class Ask:
    """One more form before the command is done: it is run again with these fields' values added to those given before.

    The command line and the chat, which have no second form, show `note` and what to add to the words to say yes.
    """

    note: str
    fields: Sequence[Field]


class BadField(Exception):
    """A value can't be taken: the same form comes back with `reason`, naming the field."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason


class Refused(Exception):
    """Whoever asked may not, and may not learn why: <forbidden/>, type auth, and nothing more."""


Run = Callable[[Asker, Values], Awaitable[Answer | Ask]]
Fields = Callable[[Asker], Awaitable[Sequence[Field]]]
May = Callable[[Asker], Awaitable[bool]]


async def _no_fields(_asker: Asker) -> Sequence[Field]:
    return ()


async def anyone(_asker: Asker) -> bool:
    """Everybody, users of other servers too."""
    return True


async def anyone_local(asker: Asker) -> bool:
    """Users at a served host."""
    return asker.local


async def admins(asker: Asker) -> bool:
    """Those whom the config's `admins` names."""
    return asker.admin


@dataclass(frozen=True)
class Command:
    """A command: `node` is its ad-hoc node, chat word and command-line name."""

    node: str
    title: str
    run: Run
    fields: Fields = _no_fields
    may: May = anyone_local
    words: Sequence[str] = ()
    """Names of the fields that chat words fill in order (`always C OUTCOME [DURATION]`); others are given as `name=value`.

    The last one takes all words that follow if it is TEXT or CONTACT (joined by spaces), LINES or CHOICES (one each).
    """
    aliases: Sequence[str] = ()
    """Other words for it in the chat (`always` for `presence-always`)."""
    usage: str = ""
    """How it is written in the chat, for `help`: `always CONTACT OUTCOME [DURATION]`."""
    help: str = ""
    """One plain sentence for `help` and the manual."""
    examples: Sequence[str] = ()
    asks: Sequence[Field] = ()
    """The fields that an `Ask` of this command may have: the chat and the command line, without a second form, give them at once."""
