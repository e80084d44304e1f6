"""The Server port: what the link knows of the served hosts' users, and what it does in their name (docs/link.md)."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Protocol, TypeVar
from xml.etree.ElementTree import Element

from component.ledger.facts import Known, New
from component.ledger.mark import Handed
from component.link.handover import Handover
from component.link.presences import own_of
from component.link.stream import Stream
from component.link.tap import GROUPCHAT, said, tapped
from component.ports import IqError, LinkDown, Session
from component.rules.facts import ArchiveId, Bounce, Fact, Message, parties
from component.rules.messages import facts_of
from component.rules.presence import Seen
from component.rules.rooms import read_state, room_facts
from component.rules.rosters import Item, Roster, Subscription
from stanzas import link
from stanzas.jid import bare, split
from stanzas.namespaces import COMPONENT, STANZA_ERRORS, qualified

log = logging.getLogger(__name__)

ANSWER = 10.0
"""Seconds after which an IQ of ours counts as unanswered."""
KEPT = 20_000
"""Rosters (and block lists) kept in memory; past that the one longest unused is asked for anew."""
ITEMS = 200_000
"""Different roster items remembered, to be shared by the rosters that have them."""

_T = TypeVar("_T")


class Facts(Protocol):
    """The part of the ledger that the link fills."""

    async def record_all(self, facts: Sequence[Fact], handed: Handed | None = None) -> Sequence[New | Known]: ...
    async def acknowledge(self, handed: Handed) -> None: ...


class Listener(Protocol):
    """Who is told what the link learns. Calls are in the order of the stream and must not block."""

    def gated(self, host: str) -> Iterable[str]:
        """Local parts of the users of this host whose presence is to be held back."""

    def on_session(self, session: Session, shown: Mapping[str, str] | None, truth: bool) -> None:
        """A session's own presence. `shown` (contact → key) and `truth` tell what contacts have seen; None: as known before."""

    def on_gone(self, jid: str) -> None:
        """The session of this full JID has ended."""

    def on_ready(self, host: str) -> None:
        """The link of this host is up, and all its sessions have been told."""

    def on_refused(self, host: str) -> None:
        """This host has no link: no module, or one of another version."""

    def on_down(self) -> None:
        """The stream is gone; what the link knew stays until it is told anew."""

    def on_probe(self, contact: str, user: str) -> None:
        """A contact (bare JID) asks for the presence of a gated user."""

    def on_changed(self, user: str, what: str) -> None:
        """A user's roster (`roster`), block list (`blocks`) or existence (`account`) changed."""

    async def on_deleted(self, user: str, handed: Handed) -> None:
        """A user's account was deleted: erase what is kept of them, in one transaction with this hand-over."""

    def on_message(self, message: Message) -> None:
        """A message passed. Told on arrival, before it is stored: being told the same one twice must change nothing."""

    def on_stored(self, fact: Fact) -> None:
        """A new fact is in the ledger."""


class Cache:
    """What is asked of the server once and kept until it changes: at most `KEPT` users', one request at a time for each."""

    def __init__(self, ask: Callable[[str], Coroutine[Any, Any, Any]]) -> None:
        self._ask = ask
        self._kept: dict[str, Any] = {}
        self._asking: dict[str, asyncio.Task[Any]] = {}
        self._stale: set[str] = set()

    async def get(self, user: str) -> Any:
        if user in self._kept:
            value = self._kept.pop(user)
            self._kept[user] = value  # the most recently used stands last
            return value
        task = self._asking.get(user)
        if task is None:
            task = self._asking[user] = asyncio.create_task(self._fetch(user))
        return await asyncio.shield(task)

    async def _fetch(self, user: str) -> Any:
        try:
            while True:
                self._stale.discard(user)
                value = await self._ask(user)
                if user not in self._stale:  # else it changed while it was on its way
                    break
            self._kept[user] = value
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
            return value
        finally:
            del self._asking[user]

    def forget(self, user: str) -> None:
        self._kept.pop(user, None)
        if user in self._asking:
            self._stale.add(user)

    def clear(self) -> None:
        self._kept.clear()
        self._stale.update(self._asking)


@lru_cache(ITEMS)
def _item(jid: str, subscription: str, name: str, groups: tuple[str, ...]) -> Item:
    """The same object for the same item of many rosters."""
    return Item(jid, Subscription(subscription), name, frozenset(groups))


class Link:
    """The link of all served hosts. `take_notice` and `answered` get its stanzas from the router; the rest is the Server port."""

    def __init__(self, stream: Stream, served_hosts: Sequence[str], facts: Facts, mark: Handed | None) -> None:
        self._stream = stream
        self.served_hosts = frozenset(served_hosts)
        self._facts = facts
        self.handover = Handover(mark, facts.acknowledge, self._acknowledge)
        self.listener: Listener
        self.modules: dict[str, link.ModuleHello] = {}
        """What each served host's module said of itself, on this stream."""
        self.refused: dict[str, str] = {}
        """Why a served host has no link: one plain sentence."""
        self._ready: set[str] = set()
        self._answer = asyncio.Event()
        """Set when a host becomes linked or refuses."""
        self._sessions: dict[str, dict[str, Session]] = {}
        self._told: dict[str, set[str]] = {}
        self._rosters = Cache(self._fetch_roster)
        self._blocks = Cache(self._fetch_blocks)
        self._ids = (f"{secrets.token_hex(4)}-{n}" for n in itertools.count())
        self._asked: dict[tuple[str, str], asyncio.Future[Element]] = {}
        self._syncing: dict[str, list[asyncio.Future[bool]]] = {}
        self._unsynced: list[asyncio.Future[bool]] = []

    # --- the stream ---

    def up(self) -> None:
        for host in sorted(self.served_hosts):
            self._hello(host)

    def down(self) -> None:
        self._ready.clear()
        self.modules.clear()
        for waiting in [*self._syncing.values(), self._unsynced]:
            for future in waiting:
                if not future.done():
                    future.set_result(False)
        self._syncing.clear()
        self._unsynced.clear()
        for asked in self._asked.values():
            if not asked.done():
                asked.set_exception(LinkDown("the stream broke"))
        self.listener.on_down()

    def _hello(self, host: str) -> None:
        mark = self.handover.mark
        hello = link.Hello(epoch=mark.epoch, h=mark.n) if mark else link.Hello()
        stanza = link.notice(self._stream.jid, host, hello)
        stanza.set("id", f"hello-{host}")
        self._stream.send(stanza)

    def no_module(self, host: str) -> None:
        """The hello came back: the server has no module of ours on this host."""
        self.refused[host] = "the server has no mod_rapport on this host"
        self._answer.set()
        self.listener.on_refused(host)
        log.warning("link.absent host=%s mend=%r", host, 'load "rapport" on this host (docs/link.md)')

    def _tell(self, host: str, value: link.Notice) -> None:
        self._stream.send(link.notice(self._stream.jid, host, value))

    def _acknowledge(self, n: int) -> None:
        if self.modules:
            self._tell(next(iter(self.modules)), link.Ack(n))

    # --- notices ---

    def take_notice(self, host: str, element: Element) -> None:
        """A notice from the module of a served host (the router has checked that it is one)."""
        try:
            value = link.parse_notice(element)
        except ValueError as error:
            log.error("link.malformed host=%s error=%s", host, error)
            return
        match value:
            case link.ModuleHello():
                self._on_hello(host, value)
            case link.Refused():
                self._on_refused(host, value)
            case link.Renew():
                self._hello(host)
            case link.Ready():
                self._on_ready(host)
            case link.SessionNotice():
                self._on_session(host, value)
            case link.Probe():
                self.listener.on_probe(bare(value.sender), bare(value.recipient))
            case link.Tap():
                facts = self._facts_of(host, value)
                for fact in facts:
                    if isinstance(fact, Message):
                        self.listener.on_message(fact)
                self.handover.take(value.n, lambda handed: self._store(facts, handed))
            case link.ReadState():
                read = read_state(value.user, value.contact, value.at, ArchiveId(value.by, value.id), self.served_hosts)
                self.handover.take(value.n, lambda handed: self._store((read,), handed))
            case link.Bounce():
                bounce = Bounce(bare(value.sender), bare(value.recipient), value.at, value.id)
                self.handover.take(value.n, lambda handed: self._store((bounce,), handed))
            case link.Changed():
                user = f"{value.user}@{host}"
                self._on_changed(user, value.what)
                if value.what == "account":
                    self.handover.take(value.n, lambda handed: self.listener.on_deleted(user, handed))
                else:
                    self.handover.take(value.n, self._facts.acknowledge)
            case _:
                log.error("link.unexpected host=%s element=%s", host, element.tag)

    def _facts_of(self, host: str, tap: link.Tap) -> tuple[Fact, ...]:
        """A module speaks of its own users alone, and of whoever writes in the rooms of its server."""
        if tap.message.get("type") == GROUPCHAT:
            members = [member for member in tap.members if split(member.jid)[1] in self.served_hosts]
            return room_facts(said(tap.message, tap.at, members))
        facts = facts_of(tapped(tap.message, tap.at), self.served_hosts)
        return tuple(fact for fact in facts if host in {split(jid)[1] for jid in parties(fact)})

    async def _store(self, facts: tuple[Fact, ...], handed: Handed) -> None:
        """All facts of one hand-over, in one transaction with its mark."""
        outcomes = await self._facts.record_all(facts, handed)
        for fact, outcome in zip(facts, outcomes, strict=True):
            if isinstance(outcome, New):
                self.listener.on_stored(fact)

    def _on_hello(self, host: str, hello: link.ModuleHello) -> None:
        self.modules[host] = hello
        self.refused.pop(host, None)
        self.handover.begin(hello.epoch)
        self._rosters.clear()
        self._blocks.clear()
        self._told[host] = set()
        for users in _batches(sorted(self.listener.gated(host)), link.BATCH):
            self._tell(host, link.Gate(True, tuple(users)))
        self._tell(host, link.Ready())

    def _on_refused(self, host: str, refused: link.Refused) -> None:
        if refused.version is None:
            log.error("link.refused host=%s element=%s reason=%s", host, refused.name, refused.reason)
            return
        self.refused[host] = f"the module speaks link version {refused.version}, this Rapport {link.VERSION}"
        self._answer.set()
        self.listener.on_refused(host)
        log.error("link.version host=%s module=%s component=%s", host, refused.version, link.VERSION)

    def _on_ready(self, host: str) -> None:
        told = self._told.pop(host, set())
        for user in [user for user in self._sessions if split(user)[1] == host]:
            for jid in set(self._sessions[user]) - told:
                self._gone(jid)
        self._ready.add(host)
        self._answer.set()
        hello = self.modules[host]
        log.info("link.up host=%s server=%r sessions=%d dropped=%d", host, hello.server, len(told), hello.dropped)
        self.listener.on_ready(host)

    def _on_session(self, host: str, notice: link.SessionNotice) -> None:
        user = bare(notice.jid)
        if split(user)[1] != host:
            log.error("link.foreign host=%s session=%s", host, notice.jid)
        elif notice.gone or notice.presence is None:
            self._gone(notice.jid)
        else:
            session = Session(notice.jid, notice.version, own_of(notice.presence))
            self._sessions.setdefault(user, {})[notice.jid] = session
            if host in self._told:
                self._told[host].add(notice.jid)
            self.listener.on_session(session, notice.shown, notice.truth)

    def _gone(self, jid: str) -> None:
        user = bare(jid)
        sessions = self._sessions.get(user, {})
        if sessions.pop(jid, None) is not None:
            if not sessions:
                del self._sessions[user]
            self.listener.on_gone(jid)

    def _on_changed(self, user: str, what: str) -> None:
        if what != "blocks":
            self._rosters.forget(user)
        if what != "roster":
            self._blocks.forget(user)
        self.listener.on_changed(user, what)

    # --- the Server port ---

    def linked(self, host: str) -> bool:
        return host in self._ready

    async def settled(self, limit: float) -> None:
        """Wait until every served host is linked or has refused, for `limit` seconds at the most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(limit):
                while self.served_hosts - self._ready - self.refused.keys():
                    self._answer.clear()
                    await self._answer.wait()

    def session_count(self, host: str) -> int:
        return sum(len(sessions) for user, sessions in self._sessions.items() if split(user)[1] == host)

    def sessions(self, user: str) -> Mapping[str, Session]:
        return self._sessions.get(user, {})

    def show(self, session: Session, seen: Seen, contacts: Sequence[str]) -> None:
        statuses = (("", seen.outcome.status),) if seen.outcome is not None and seen.outcome.status else ()
        host = split(session.jid)[1]
        for some in _batches(contacts, link.BATCH):
            self._tell(host, link.Show(session.jid, session.version, seen.word, seen.key, tuple(some), statuses))

    def gate(self, user: str, on: bool) -> None:
        local, host, _ = split(user)
        self._tell(host, link.Gate(on, (local,)))

    async def roster(self, user: str) -> Roster:
        roster: Roster = await self._rosters.get(user)
        return roster

    async def blocks(self, user: str) -> frozenset[str]:
        blocks: frozenset[str] = await self._blocks.get(user)
        return blocks

    async def history(self, user: str, after: str | None, most: int) -> link.HistoryResult:
        """A page of the user's archive, oldest first. Raises as `roster`, and IqError where the host has no archive."""
        return await self._request(user, link.HistoryRequest(split(user)[0], after, most), link.HistoryResult)

    async def _fetch_roster(self, user: str) -> Roster:
        result = await self._request(user, link.RosterRequest(split(user)[0]), link.RosterResult)
        return {item.jid: item for item in (_item(*each) for each in result.items)}

    async def _fetch_blocks(self, user: str) -> frozenset[str]:
        return frozenset((await self._request(user, link.BlocksRequest(split(user)[0]), link.BlocksResult)).jids)

    async def _request(self, user: str, value: link.Request, expected: type[_T]) -> _T:
        host = split(user)[1]
        if host not in self.modules:
            raise LinkDown(host)
        iq = link.request(self._stream.jid, host, "", value)
        try:
            result = await self.ask(iq)
        except IqError as error:
            if error.args[0] == "item-not-found":
                raise LookupError(f"{user}: the server has no such user") from None
            raise
        except TimeoutError:
            raise LinkDown(f"{host} did not answer") from None
        parsed = link.parse_result(result[0]) if len(result) else None
        if not isinstance(parsed, expected):
            raise LinkDown(f"{host} answered with something else")
        return parsed

    def send(self, stanza: Element, once: str | None = None) -> bool:
        if once is not None and self._ready:
            link.add_once(stanza, once)
        return self._stream.send(stanza)

    def fits(self, stanza: Element) -> bool:
        return self._stream.fits(stanza)

    async def ask(self, iq: Element) -> Element:
        stanza_id = next(self._ids)
        iq.set("id", stanza_id)
        key = (stanza_id, iq.get("to", ""))
        future = self._asked[key] = asyncio.get_running_loop().create_future()
        try:
            if not self._stream.send(iq):
                raise LinkDown("the stream is down")
            answer: Element = await asyncio.wait_for(future, ANSWER)
        finally:
            del self._asked[key]
        if answer.get("type") == "error":
            raise IqError(condition_of(answer))
        return answer

    def answered(self, iq: Element) -> None:
        """An IQ result or error came in; one that nobody waits for is nothing."""
        future = self._asked.get((iq.get("id", ""), iq.get("from", "")))
        if future is not None and not future.done():
            future.set_result(iq)

    async def confirmed(self) -> bool:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if not self._stream.up:
            return False
        if not self._unsynced and not self._syncing:
            asyncio.get_running_loop().call_soon(self._sync)
        self._unsynced.append(future)
        return await future

    def _sync(self) -> None:
        if self._unsynced:
            sync_id = f"sync-{next(self._ids)}"
            self._syncing[sync_id], self._unsynced = self._unsynced, []
            self._stream.ping(sync_id)

    def came_back(self, stanza_id: str) -> None:
        """A ping to ourselves is back: the server has taken all that was sent before it."""
        for future in self._syncing.pop(stanza_id, []):
            if not future.done():
                future.set_result(True)
        self._sync()


def condition_of(stanza: Element) -> str:
    """The RFC 6120 condition of an error stanza; `undefined-condition` where it names none."""
    error = stanza.find(qualified(COMPONENT, "error"))
    for child in error if error is not None else ():
        if child.tag.startswith(f"{{{STANZA_ERRORS}}}") and not child.tag.endswith("}text"):
            return child.tag.rpartition("}")[2]
    return "undefined-condition"


def _batches(values: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
