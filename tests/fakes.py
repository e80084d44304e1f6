"""The world, in memory: what `component.ports` asks for, driven by the test."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from component.ports import LinkDown, Session
from component.rules.facts import Bounce, Fact, Message, Pair, Read
from component.rules.presence import Own, Seen, truth
from component.rules.rosters import Item, Roster, Subscription


class FakeClock:
    """Stands still until the test lets it run; alarms ring at their exact instant."""

    def __init__(self, at: float = 1_000_000.0) -> None:
        self._at = at
        self._alarms: dict[str, tuple[float, Callable[[], None]]] = {}

    def now(self) -> float:
        return self._at

    def alarm(self, key: str, at: float | None, ring: Callable[[], None]) -> None:
        if at is None:
            self._alarms.pop(key, None)
        else:
            self._alarms[key] = (at, ring)

    def run(self, seconds: float) -> None:
        """Let time pass: every alarm due in it rings, in order."""
        end = self._at + seconds
        while due := [(at, key) for key, (at, _ring) in self._alarms.items() if at <= end]:
            at, key = min(due)
            self._at = max(self._at, at)
            self._alarms.pop(key)[1]()
        self._at = end

    @property
    def waiting(self) -> int:
        return len(self._alarms)


def item(jid: str, subscription: str = "both", *groups: str) -> Item:
    return Item(jid, Subscription(subscription), jid.partition("@")[0].title(), frozenset(groups))


@dataclass
class FakeServer:
    """A server whose module does what it is told, and remembers what each contact saw."""

    rosters: dict[str, dict[str, Item]] = field(default_factory=dict)
    blocked: dict[str, set[str]] = field(default_factory=dict)
    up: bool = True
    stalled: bool = False
    """Linked, but without an answer."""
    online: dict[str, dict[str, Session]] = field(default_factory=dict)
    gates: dict[str, bool] = field(default_factory=dict)
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    """(session, contact, as) of every presence shown, in order."""
    stanzas: list[tuple[Element, str | None]] = field(default_factory=list)
    _seen: dict[tuple[str, str], Seen] = field(default_factory=dict)

    def linked(self, host: str) -> bool:
        return self.up

    def sessions(self, user: str) -> Mapping[str, Session]:
        return self.online.get(user, {})

    def log_in(self, jid: str, own: Own, version: int = 1) -> Session:
        session = Session(jid, version, own)
        self.online.setdefault(jid.partition("/")[0], {})[jid] = session
        return session

    def log_out(self, jid: str) -> None:
        del self.online[jid.partition("/")[0]][jid]

    def show(self, session: Session, seen: Seen, contacts: Sequence[str]) -> None:
        for contact in contacts:
            self.sent.append((session.jid, contact, seen.word))
            self._seen[session.jid, contact] = seen

    def shows(self, jid: str, to: str) -> str:
        """What this contact sees of the session: the link's word, `own` where nothing else was shown."""
        seen = self._seen.get((jid, to))
        return "own" if seen is None else seen.word

    def key(self, jid: str, to: str) -> str:
        seen = self._seen.get((jid, to))
        return seen.key if seen is not None else truth(self.online[jid.partition("/")[0]][jid].own).key

    def gate(self, user: str, on: bool) -> None:
        self.gates[user] = on

    async def roster(self, user: str) -> Roster:
        if not self.up or self.stalled:
            raise LinkDown(user)
        if user not in self.rosters:
            raise LookupError(user)
        return dict(self.rosters[user])

    async def blocks(self, user: str) -> frozenset[str]:
        if not self.up:
            raise LinkDown(user)
        if user not in self.rosters:
            raise LookupError(user)
        return frozenset(self.blocked.get(user, ()))

    def fits(self, stanza: Element) -> bool:
        return True

    def send(self, stanza: Element, once: str | None = None) -> bool:
        if self.up:
            self.stanzas.append((stanza, once))
        return self.up

    async def confirmed(self) -> bool:
        return self.up

    async def ask(self, iq: Element) -> Element:
        raise TimeoutError


@dataclass
class FakeLedger:
    """Facts in a list; pairs derived from them anew each time."""

    facts: list[Fact] = field(default_factory=list)

    async def pairs(self, user: str, since: float = 0.0) -> Sequence[Pair]:
        names = {(fact.sender, fact.recipient) for fact in self._messages() if user in (fact.sender, fact.recipient)}
        found = (self._pair(sender, recipient) for sender, recipient in sorted(names))
        return [pair for pair in found if since <= max(pair.last_at, pair.read_at)]

    async def unread(self, reader: str) -> Mapping[str, int]:
        return {}

    def _messages(self) -> Iterable[Message]:
        bounced = {(fact.sender, fact.recipient, fact.id) for fact in self.facts if isinstance(fact, Bounce)}
        return [fact for fact in self.facts if isinstance(fact, Message) and (fact.sender, fact.recipient, fact.id) not in bounced]

    def _pair(self, sender: str, recipient: str) -> Pair:
        mine = [fact for fact in self._messages() if (fact.sender, fact.recipient) == (sender, recipient)]
        read = [fact.id for fact in self.facts if isinstance(fact, Read) and (fact.writer, fact.reader) == (sender, recipient)]
        return Pair(
            sender,
            recipient,
            max((fact.at for fact in mine), default=0.0),
            max((fact.at for fact in mine if not fact.correction), default=0.0),
            max((fact.at for fact in mine if fact.id in read), default=0.0),
        )
