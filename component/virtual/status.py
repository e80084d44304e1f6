"""Presence of S3: who of the teams is there, what virtual users show, and who sees it (spec/20-virtual.md, Names and status).

Local sub-users are known by the link; the others, and all where there is no link, by a subscription of the virtual user's own.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from hashlib import sha1
from typing import Any
from xml.etree.ElementTree import Element

from component.ports import Clock, LinkDown, Server
from component.rules.presence import Show
from component.rules.rosters import Subscription
from component.rules.team_status import Resource, Resources, aggregate, is_available, of_member
from component.virtual.model import RESOURCE
from component.virtual.profiles import MOVES, PATIENCE, Profiles, needs_places
from component.virtual.store import Store
from component.virtual.team import Sub, Team
from stanzas.build import element, presence
from stanzas.jid import bare, split
from stanzas.namespaces import COMPONENT, qualified

log = logging.getLogger(__name__)

_SHOW, _PRIORITY = qualified(COMPONENT, "show"), qualified(COMPONENT, "priority")
_SHOWS = {show.value: show for show in (Show.CHAT, Show.AWAY, Show.DND, Show.XA)}
_WRITTEN = {Show.ONLINE: "", Show.AWAY: "away", Show.DND: "dnd"}
PROBED = 5.0
"""Seconds for which a remote server's first answer to a probe is waited for; then nobody is there."""
MOST_LOCATED = 100
"""Sub-users of a team who are asked at once, those first who were asked longest ago."""
AVATAR_UPDATE = "vcard-temp:x:update"
"""XEP-0153"""


class Status:
    def __init__(
        self,
        domain: str,
        teams: Mapping[str, Team],
        server: Server,
        store: Store,
        clock: Clock,
        profiles: Profiles,
        on_came: Callable[[Team, Sub], None],
        on_known: Callable[[Team], None],
    ) -> None:
        """`on_came` is told of a sub-user who became available, `on_known` when it is known of all of a team whether they are."""
        self._domain, self._teams, self._server, self._store = domain, teams, server, store
        self._clock, self._profiles, self._on_came, self._on_known = clock, profiles, on_came, on_known
        self.avatars: Mapping[str, bytes] = {}
        self.live = False
        self._subscribers: dict[str, set[str]] = {}
        """Virtual user → bare JIDs."""
        self._watched: dict[tuple[str, str], bool] = {}
        """(virtual user, sub-user's bare JID) → whether they let it see their presence."""
        self._seen: dict[str, dict[str, Resource]] = {}
        """What came by subscription: bare JID → full JID → resource."""
        self._locating: dict[tuple[str, str], asyncio.Task[None]] = {}
        """By virtual user and sub-user."""
        self._late: set[asyncio.Task[None]] = set()
        """Of these, whom nobody waits for any more."""
        self._tasks: set[asyncio.Task[None]] = set()

    def load(self, subscribers: Iterable[tuple[str, str]], watched: Iterable[tuple[str, str, bool]]) -> None:
        for node, jid in subscribers:
            self._subscribers.setdefault(node, set()).add(jid)
        self._watched = {(node, jid): granted for node, jid, granted in watched}

    async def drain(self) -> None:
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    # --- who is there ---

    async def came_live(self) -> None:
        """The stream is up, and local sessions are known: see who is there, and ask for the presence of the others."""
        self.live = True
        for team in self._teams.values():
            await self.watch(team)
            self.look(team)
            await self.unwatch(team, [account for node, account in self._watched if node == team.node and account not in team.accounts])

    def look(self, team: Team, account: str | None = None) -> None:
        """See who of the team (or of one bare JID of it) is there now, and tell subscribers if that shows."""
        if not self.live:
            return
        for sub in list(team.subs.values()):
            if account is None or bare(sub.jid) == account:
                self._look_at(team, sub)
        self._show(team)

    def _look_at(self, team: Team, sub: Sub) -> None:
        sub.resources = tuple(of_member(sub.jid, self._resources(bare(sub.jid))))
        available = is_available(sub.resources, team.settings.available_shows)
        if not available and (sub.available or not sub.away_since):
            sub.away_since = self._clock.now()  # one not seen since the start may be reconnecting too
        if available == sub.available:
            return
        sub.available = available
        sub.changed()
        if available:
            self._measure(team, sub)
            self._on_came(team, sub)

    def somebody_moved(self, account: str) -> None:
        """The presence of this bare JID changed."""
        for team in self._teams.values():
            if account in team.accounts:
                self.look(team, account)

    def located(self, account: str) -> None:
        """This bare JID said where it is."""
        for team in self._teams.values():
            for sub in team.subs.values() if account in team.accounts else ():
                if bare(sub.jid) == account:
                    sub.located = self._profiles.of(account).place
                    sub.changed()

    def _resources(self, account: str) -> Resources:
        if self._server.linked(split(account)[1]):
            return {jid: Resource(session.own.show, session.own.priority) for jid, session in self._server.sessions(account).items()}
        return self._seen.get(account, {})

    def measure(self, team: Team) -> None:
        """Other policies may want to know more of those who are there."""
        for sub in team.there():
            self._measure(team, sub)

    def _measure(self, team: Team, sub: Sub) -> None:
        """Ask for what policies want to know of somebody who came; where they are is asked when it matters."""
        team.located_at = None
        if "bandwidth" in team.settings.policy:
            self._run(self._ping(team, sub))

    def is_located(self, team: Team, policies: Collection[str]) -> bool:
        """Whether it is known where the sub-users are now, as far as these policies are about that."""
        known = team.located_at is not None and self._clock.now() < team.located_at + MOVES
        return known or not needs_places(policies)

    async def locate(self, team: Team) -> None:
        """Ask those who are there where they are. Waits `PATIENCE` at most; for one who did not answer in that time, not again."""
        there = sorted((sub for sub in team.subs.values() if sub.available), key=lambda sub: sub.asked_at)
        tasks = {self._locate(team, sub) for sub in there[:MOST_LOCATED]} - self._late
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=PATIENCE)
            self._late |= late
        team.located_at = self._clock.now()

    def _locate(self, team: Team, sub: Sub) -> asyncio.Task[None]:
        key = (team.node, sub.jid)
        if (task := self._locating.get(key)) is None:
            sub.asked_at = self._clock.now()
            task = self._locating[key] = self._run(self._ask_place(team, sub))
            task.add_done_callback(lambda done: self._located(key, done))
        return task

    def _located(self, key: tuple[str, str], done: asyncio.Task[None]) -> None:
        del self._locating[key]
        self._late.discard(done)

    async def _ask_place(self, team: Team, sub: Sub) -> None:
        sub.located = await self._profiles.place_of(bare(sub.jid), self._bare(team), sub.located)
        sub.changed()

    async def _ping(self, team: Team, sub: Sub) -> None:
        there = [jid for jid in self._resources(bare(sub.jid)) if sub.jid in (jid, bare(jid))]
        trips = [await self._profiles.round_trip(jid, self._full(team)) for jid in there]
        sub.round_trip = min((trip for trip in trips if trip is not None), default=sub.round_trip)
        sub.changed()

    # --- presence of sub-users by subscription ---

    async def watch(self, team: Team) -> None:
        """Ask for the presence of sub-users whom the link does not know."""
        for account in sorted(team.accounts):
            if self._server.linked(split(account)[1]):
                continue
            granted = self._watched.get((team.node, account))
            if granted is None:
                self._watched[team.node, account] = False
                await self._store.watch(team.node, account, False)
            if granted and account not in self._seen:
                team.unknown.add(account)
            kind = "probe" if granted else "subscribe"
            self._server.send(presence(self._bare(team), account, kind=kind))
        if team.unknown:
            self._clock.alarm(_unknown_alarm(team), self._clock.now() + PROBED, lambda: self._known(team, *team.unknown))

    def _known(self, team: Team, *accounts: str) -> None:
        """Who of these is there is known now, or will not be."""
        if team.unknown.isdisjoint(accounts):
            return
        team.unknown.difference_update(accounts)
        self.look(team)
        if not team.unknown:
            self._clock.alarm(_unknown_alarm(team), None, _nothing)
            self._on_known(team)

    async def unwatch(self, team: Team, accounts: Iterable[str]) -> None:
        for account in accounts:
            if (team.node, account) in self._watched:
                del self._watched[team.node, account]
                self._known(team, account)
                await self._store.watch(team.node, account, None)
                self._server.send(presence(self._bare(team), account, kind="unsubscribe"))

    # --- what subscribers see ---

    def _show(self, team: Team) -> None:
        if team.unknown:
            return
        shown = aggregate(resource for sub in team.subs.values() for resource in sub.resources)
        if shown is team.shown:
            return
        team.shown = shown
        log.info("virtual.shows virtual=%s show=%s", team.node, shown.value)
        for subscriber in sorted(self._subscribers.get(team.node, ())):
            self._tell(team, subscriber)
        self._run(self._store.show(team.node, shown))

    def _tell(self, team: Team, jid: str) -> None:
        if team.shown is Show.OFFLINE:
            self._server.send(presence(self._full(team), jid, kind="unavailable"))
            return
        payload = []
        if (avatar := self.avatars.get(team.node)) is not None:
            update = element(AVATAR_UPDATE, "x")
            update.append(element(AVATAR_UPDATE, "photo", text=sha1(avatar, usedforsecurity=False).hexdigest()))
            payload.append(update)
        self._server.send(presence(self._full(team), jid, *payload, show=_WRITTEN[team.shown]))

    # --- presence that comes to a virtual user ---

    async def take(self, team: Team, stanza: Element) -> None:
        sender = stanza.get("from", "")
        account = bare(sender)
        match stanza.get("type"):
            case "subscribe":
                await self._subscribe(team, account)
            case "unsubscribe":
                await self._unsubscribe(team, account)
            case "probe":
                await self._answer_probe(team, sender)
            case "subscribed":
                await self._granted(team, account, True)
            case "unsubscribed":
                await self._granted(team, account, False)
            case None | "unavailable" | "error":
                self._seen_by_subscription(account, sender, stanza)

    async def _subscribe(self, team: Team, account: str) -> None:
        subscribers = self._subscribers.setdefault(team.node, set())
        is_new = account not in subscribers
        if is_new:
            await self._store.subscribe(team.node, account)
            subscribers.add(account)
        self._server.send(presence(self._bare(team), account, kind="subscribed"))
        if is_new:
            self._tell(team, account)

    async def _unsubscribe(self, team: Team, account: str) -> None:
        if self.is_subscriber(team, account):
            await self._store.unsubscribe(team.node, account)
            self._subscribers[team.node].discard(account)
            self._server.send(presence(self._full(team), account, kind="unavailable"))

    async def _answer_probe(self, team: Team, sender: str) -> None:
        account = bare(sender)
        if self.is_subscriber(team, account) or await self._is_in_roster(team, account):
            self._tell(team, sender)
        else:
            self._server.send(presence(self._bare(team), account, kind="unsubscribed"))  # RFC 6121, 4.3.2

    def is_subscriber(self, team: Team, account: str) -> bool:
        """Whether this bare JID sees the virtual user's presence."""
        return account in self._subscribers.get(team.node, ())

    async def _is_in_roster(self, team: Team, account: str) -> bool:
        """Whether a local user's roster says that they are subscribed, though that was not known here (a restored database, say)."""
        if not self._server.linked(split(account)[1]):
            return False
        try:
            item = (await self._server.roster(account)).get(self._bare(team))
        except (LookupError, LinkDown):
            return False
        if item is None or item.subscription not in (Subscription.TO, Subscription.BOTH):
            return False
        await self._store.subscribe(team.node, account)
        self._subscribers.setdefault(team.node, set()).add(account)
        return True

    async def _granted(self, team: Team, account: str, granted: bool) -> None:
        if self._watched.get((team.node, account), granted) != granted:
            self._watched[team.node, account] = granted
            await self._store.watch(team.node, account, granted)
        if not granted:
            self._seen.pop(account, None)
            self.somebody_moved(account)
            self._known(team, account)

    def _seen_by_subscription(self, account: str, sender: str, stanza: Element) -> None:
        if not any(account in team.accounts for team in self._teams.values()):
            return
        resources = self._seen.setdefault(account, {})
        if stanza.get("type") is None:
            resources[sender] = _resource(stanza)
        elif sender == account:
            resources.clear()  # nobody of the account is there, or its server can't be reached
        else:
            resources.pop(sender, None)
        self.somebody_moved(account)
        for team in list(self._teams.values()):
            self._known(team, account)

    async def goodbye(self, team: Team) -> None:
        """The virtual user is removed: nobody sees it any more."""
        for account in sorted(self._subscribers.pop(team.node, set())):
            self._server.send(presence(self._full(team), account, kind="unavailable"))
            self._server.send(presence(self._bare(team), account, kind="unsubscribed"))
        await self.unwatch(team, team.accounts)

    def forget(self, user: str) -> None:
        """That a bare JID sees the presence of virtual users is erased."""
        for subscribers in self._subscribers.values():
            subscribers.discard(user)

    def _run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _bare(self, team: Team) -> str:
        return f"{team.node}@{self._domain}"

    def _full(self, team: Team) -> str:
        return f"{team.node}@{self._domain}/{RESOURCE}"


def _unknown_alarm(team: Team) -> str:
    return f"virtual.unknown {team.node}"


def _nothing() -> None:
    """For an alarm that is taken back."""


def _resource(stanza: Element) -> Resource:
    """An available presence; an unknown `<show/>` counts as none, an odd priority as 0 (RFC 6121, 4.7.2)."""
    text = (stanza.findtext(_PRIORITY) or "").strip()
    priority = int(text) if text.removeprefix("-").isdecimal() and len(text) <= 4 else 0
    return Resource(_SHOWS.get((stanza.findtext(_SHOW) or "").strip(), Show.ONLINE), priority)
