"""What services may ask of the world, and what the world asks of them. `link`, `ledger` and `clock` are the real ones; tests have fakes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from xml.etree.ElementTree import Element

from component.rules.addresses import Address
from component.rules.facts import Pair
from component.rules.presence import Own, Seen
from component.rules.rosters import Roster


@dataclass(frozen=True, slots=True)
class Session:
    """One available resource of a local user, as the link told it."""

    jid: str
    """The full JID."""
    version: int
    """Grows with each own presence; a `show` names the one that it was decided on."""
    own: Own


class Clock(Protocol):
    def now(self) -> float:
        """UNIX seconds."""

    def alarm(self, key: str, at: float | None, ring: Callable[[], None]) -> None:
        """Call `ring` at the instant `at`, instead of what was set for this key before; None: not at all."""


class Server(Protocol):
    """The server, by the link (docs/link.md) and the component's own stream."""

    def linked(self, host: str) -> bool:
        """Whether the module of this served host answers."""

    def sessions(self, user: str) -> Mapping[str, Session]:
        """The available sessions of a local user's bare JID, by full JID."""

    def show(self, session: Session, seen: Seen, contacts: Sequence[str]) -> None:
        """Show this session to these contacts as `seen`."""

    def gate(self, user: str, on: bool) -> None:
        """Hold the user's presence back at the server, or let it go."""

    async def roster(self, user: str) -> Roster:
        """A local user's roster; kept until it changes. Raises LookupError (no such user) or LinkDown."""

    async def blocks(self, user: str) -> frozenset[str]:
        """What a local user blocks (XEP-0191): bare and domain JIDs. Raises as `roster`."""

    def send(self, stanza: Element, once: str | None = None) -> bool:
        """Send a stanza from an address of the component's own; `once`: the server drops a second one of this id (docs/link.md, 2).

        False: nothing was sent, the stream is down or the stanza too large. True says that it was written, not that it arrived: what
        must not be lost stays stored until `confirmed`, and is sent again under the same `once` otherwise.
        """

    def fits(self, stanza: Element) -> bool:
        """Whether the stanza is small enough for the server; one that fits and was not sent may be sent when the stream is back."""

    async def confirmed(self) -> bool:
        """Wait until the server has taken all that was sent so far; False if the stream broke before. Many waiters share one round trip."""

    async def ask(self, iq: Element) -> Element:
        """Send an IQ get or set and await its result. Raises IqError (an error came back) or TimeoutError (10 s)."""


class Ledger(Protocol):
    async def pairs(self, user: str, since: float = 0.0) -> Sequence[Pair]:
        """Every pair with this bare JID as sender or recipient, but those where nothing is as new as `since`; in one query."""

    async def unread(self, reader: str) -> Mapping[str, int]:
        """How many unread messages wait for `reader`, by writer; none where there are none."""


@dataclass(frozen=True, slots=True)
class Queued:
    """A message to an address of the component's, stored until it is dealt with."""

    id: int
    stanza: Element
    at: float
    """When it came, UNIX seconds."""

    def once(self, what: str) -> str:
        """The id under which the server takes `what` becomes of this message only once (docs/link.md, 2).

        With the instant: a database that is new, or restored from a backup, gives numbers that the server has seen.
        """
        return f"{self.id}.{round(self.at * 1e6):x}:{what}"


IqAnswer = Callable[[Element, Address], Awaitable[Element | None]]
"""Answers an IQ get or set: the payload of the result (None: an empty one). Raises StanzaError or commands.model.Refused."""


class Handler(Protocol):
    """A capability's side of the addresses that are its own. `component/link/router.py` calls it.

    Messages of one (sender, address) pair come one after the other, those of different pairs side by side.
    """

    @property
    def iqs(self) -> Mapping[tuple[str, str], IqAnswer]:
        """(`get` or `set`, qualified name of the payload) → who answers. What is not listed is answered `service-unavailable`."""

    async def message(self, address: Address, queued: Queued) -> bool:
        """A message of type chat or normal, already stored. True: it is dealt with and leaves the queue; False: not yet.

        Raises StanzaError or Refused: the sender gets that error, and it leaves the queue.
        """

    async def other_message(self, address: Address, stanza: Element) -> None:
        """A message of type error or headline: not stored, never answered."""

    async def presence(self, address: Address, stanza: Element) -> None:
        """Any presence to this address, of type error too."""


class StanzaError(Exception):
    """What the sender of a stanza gets back (RFC 6120, 8.3.3)."""

    def __init__(self, condition: str, text: str = "", kind: str | None = None, app: Element | None = None) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text
        self.kind = kind
        """The error's type; None: the usual one of the condition."""
        self.app = app
        """A further condition of another namespace (RFC 6120, 8.3.4)."""


class LinkDown(Exception):
    """The module of the user's host does not answer: try again when the link is up."""


class IqError(Exception):
    """The other side answered an IQ with an error; `args[0]` is the RFC 6120 condition."""
