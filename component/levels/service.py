"""S4: who sees what of a user, by how close they are (spec/30-levels.md).

Gather (roster, block list, scores, settings), decide (rules/levels.py, rules/doors.py), disclose or refuse. Nothing is kept that could
grow stale: a level is worked out when somebody asks, with one query for all contacts.

A refusal tells nothing by its time either. It leaves after a whole number of steps; and what takes longer than that, the roster of
somebody with many contacts, is asked of the server before anybody waits for it, or not at all.
"""

import asyncio
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from component.commands.model import Refused
from component.lanes import Lanes
from component.levels.store import Leveled, Look, RealName, Settings, Store
from component.ports import Clock, IqError, LinkDown, Server
from component.rules.addresses import owner_of
from component.rules.doors import LEVELS, NOTHING, Door, Effect, effect, visible_of
from component.rules.facts import Score
from component.rules.levels import NO_LABELS, Closeness, Labels, Scale, balanced, closeness, level, score_at
from component.rules.rosters import Item, Roster, Subscription, is_blocked
from stanzas.jid import split
from stanzas.levels import Listed
from stanzas.vcards import Card

STEP = 0.1
"""Seconds. A refusal leaves a whole number of steps after its question came, so that its time says nothing of its reason."""
DAY = 86_400.0
NOBODY = ""
"""In whose log it is written what was asked of users who don't exist: the same work as for one who does, and as bounded."""


class Scores(Protocol):
    """The part of the ledger that levels are made of."""

    async def scores(self, user: str) -> Sequence[Score]:
        """Every sum with this bare JID as sender or recipient, in one query."""


@dataclass(frozen=True)
class Owner:
    """What decides over a user's doors, as of one instant."""

    jid: str
    exists: bool
    roster: Roster
    blocks: frozenset[str]
    settings: Settings
    scores: Mapping[str, float]
    """By contact, those with whom messages were exchanged."""

    def contacts(self) -> list[Item]:
        """Whoever is subscribed one way or both."""
        return [item for item in self.roster.values() if item.subscription is not Subscription.NONE]

    def labels(self, contact: str) -> Labels:
        return self.settings.labels.get(contact, NO_LABELS)

    def level(self, contact: str, scale: Scale) -> int | None:
        """A contact's level; None: a stranger."""
        item = self.roster.get(contact)
        if item is None or item.subscription is Subscription.NONE:
            return None
        return level(self.scores.get(contact, 0.0), self.labels(contact), scale.thresholds)

    def may_be_answered_by(self, asker: str) -> bool:
        """Whether the user wrote to the asker under their real name, and has not blocked them since."""
        return self.settings.may_answer(asker) and not is_blocked(self.blocks, asker)

    def admits(self, asker: str, scale: Scale) -> int | None:
        """The level that counts at the doors: whom the user blocks is a stranger there."""
        return None if is_blocked(self.blocks, asker) else self.level(asker, scale)


@dataclass(frozen=True, slots=True)
class Contact:
    """A user's contact as the user sees it."""

    jid: str
    closeness: Closeness
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Writer:
    """Somebody who may write to a user under their real name."""

    name: RealName | None
    """None: they have set none yet."""
    answers: bool
    """They are let in for an answer alone."""


class Levels:
    """What users may ask and set. Users, askers and contacts are bare JIDs. `jid` is the component's domain.

    A face is another address of its owner: no contact of its own, and blocked it blocks them.
    """

    def __init__(
        self, jid: str, server: Server, ledger: Scores, store: Store, clock: Clock, scale: Scale, served_hosts: Collection[str]
    ) -> None:
        self._jid = jid
        self._server = server
        self._ledger = ledger
        self._store = store
        self._clock = clock
        self._scale = scale
        self._served_hosts = frozenset(served_hosts)
        self._unlisted: frozenset[str] = frozenset()
        self._open: set[str] = set()
        """Users with something open (some may have closed it since): of whom a stranger can make us ask for the roster."""
        self._cold: set[str] = set()
        """Those of them whose roster is to be asked for."""
        self._waits = itertools.count()
        self._lanes = Lanes("levels")

    async def open(self) -> None:
        self._unlisted = await self._store.unlisted()
        self._open = set(await self._store.openers())

    async def drain(self) -> None:
        """Ask for no more rosters, and let the one that is on its way come."""
        self._cold.clear()
        await self.settled()

    async def settled(self) -> None:
        """Wait until what has begun has ended."""
        await self._lanes.drain()

    def on_ready(self, host: str) -> None:
        """The link of a served host is up: what was known of its rosters is forgotten."""
        for user in self._open:
            if split(user)[1] == host:
                self._warm(user)

    def on_changed(self, user: str, what: str) -> None:
        """`what` of a local user changed (docs/link.md, 3)."""
        if what == "roster" and user in self._open:
            self._warm(user)

    def _warm(self, user: str) -> None:
        """Ask for the user's roster, those of many one after the other: the server keeps (ports.Server) what it answers."""

        async def ask() -> None:
            if user in self._cold:
                self._cold.remove(user)
                with suppress(LinkDown, LookupError, IqError):  # whoever needs it is told
                    await self._server.roster(user)

        if user not in self._cold:
            self._cold.add(user)
            self._lanes.put("rosters", ask)

    def forget(self, user: str) -> None:
        """The user's data is erased."""
        self._unlisted -= {user}
        self._open.discard(user)

    def is_local(self, user: str) -> bool:
        return split(user)[1] in self._served_hosts

    def is_linked(self, user: str) -> bool:
        """Whether the link of the user's host is up; that of another server's user is not needed."""
        host = split(user)[1]
        return host not in self._served_hosts or self._server.linked(host)

    # --- a user's own ---

    async def contacts(self, user: str) -> Sequence[Contact]:
        """All contacts, closest first. Raises LinkDown."""
        owner, now = await self._gather(user), self._clock.now()
        found = [Contact(item.jid, self._closeness(owner, item.jid, now), owner.labels(item.jid).names) for item in owner.contacts()]
        return sorted(found, key=lambda contact: (contact.closeness.level, -contact.closeness.score, contact.jid))

    async def closeness(self, user: str, contact: str) -> Closeness | None:
        """Why this contact has their level; None: they are a stranger. Raises LinkDown."""
        owner = await self._gather(user)
        return None if owner.level(contact, self._scale) is None else self._closeness(owner, contact, self._clock.now())

    async def settings(self, user: str) -> Settings:
        return await self._store.settings(user)

    async def is_contact(self, user: str, jid: str) -> bool:
        """Raises LinkDown."""
        item = (await self._gather(user)).roster.get(jid)
        return item is not None and item.subscription is not Subscription.NONE

    async def label(self, user: str, contact: str, labels: Labels) -> None:
        await self._store.label(user, contact, labels)

    async def effect(self, user: str, door: Door, levels: frozenset[int]) -> Effect:
        """What opening these levels, and no others, would do. Raises LinkDown."""
        owner = await self._gather(user)
        now_at = [owner.admits(item.jid, self._scale) for item in owner.contacts()]
        return effect(door, owner.settings.open(door), levels, [each for each in now_at if each is not None])

    async def open_door(self, user: str, door: Door, levels: frozenset[int], share_names: bool) -> None:
        await self._store.open(user, door, levels, share_names)
        if levels:
            self._open.add(user)
            self._warm(user)

    async def set_real_name(self, user: str, name: RealName | None) -> None:
        """Raises store.Full."""
        await self._store.set_real_name(user, split(user)[1], self.is_local(user), name)

    def is_listable(self, user: str) -> bool:
        return user not in self._unlisted

    async def set_listable(self, user: str, listable: bool) -> None:
        """Raises store.Full."""
        await self._store.set_listable(user, split(user)[1], self.is_local(user), listable)
        self._unlisted = self._unlisted - {user} if listable else self._unlisted | {user}

    async def share(self, user: str, shared: Leveled) -> None:
        """Raises store.Full."""
        await self._store.share(user, shared)

    async def revoke(self, user: str, link: str) -> bool:
        """Whether there was such a file."""
        return await self._store.revoke(user, link)

    async def looks(self, user: str) -> Sequence[Look]:
        """Who looked, newest first."""
        return await self._store.looks(user)

    # --- of others ---

    async def contacts_of(self, asker: str, user: str, asked: int | None, label: str | None, viewer: str | None = None) -> list[Listed]:
        """The contacts that the asker may see, by JID; the user sees all of their own, or what `viewer` would get.

        Raises Refused and LinkDown.
        """
        owner, levels = await self._enter(asker, user, Door.CONTACTS, asked, viewer)
        whoever = viewer or asker
        own = whoever == user
        listed = []
        for item in owner.contacts():
            labels, at = owner.labels(item.jid), owner.level(item.jid, self._scale)
            hidden = item.jid == whoever or (not own and item.jid in self._unlisted)
            if at is not None and at in levels and not hidden and (label is None or label in labels.names):
                name = item.name if own or owner.settings.share_names else ""
                listed.append(Listed(item.jid, name, at, labels.names))
        return sorted(listed, key=lambda contact: contact.jid)

    async def levels_of(self, asker: str, user: str) -> Sequence[int]:
        """The levels of contacts that the asker may see, at least one. Raises Refused and LinkDown."""
        _owner, levels = await self._enter(asker, user, Door.CONTACTS, None)
        return sorted(levels)

    async def files_of(self, asker: str, user: str, asked: int | None, viewer: str | None = None) -> Sequence[Leveled]:
        """As `contacts_of`, of shared files, in the order in which they were shared."""
        owner, levels = await self._enter(asker, user, Door.FILES, asked, viewer)
        return [shared for shared in owner.settings.files if shared.level is None or shared.level in levels]

    async def card(self, asker: str, user: str) -> Card:
        """The user's real name where the asker may see it; else a nickname, the same whoever refuses it and why. Raises LinkDown."""
        owner, levels = await self._look(asker, user, Door.REAL_NAME, None)
        nickname, name = split(user)[0], owner.settings.real_name
        if name is not None and levels:
            return Card(nickname, name.fn, name.given, name.family, name.photo)
        if name is not None and owner.may_be_answered_by(asker):
            return Card(name.fn)  # they are told it with every message
        return Card(nickname)

    async def writer(self, asker: str, user: str) -> Writer:
        """Under which name the asker may write to the user: the door is open, or it is an answer. Raises Refused and LinkDown."""
        began = self._clock.now()

        def can_be(owner: Settings) -> bool:
            return bool(owner.open(Door.REAL_NAME))

        settings, owner = await asyncio.gather(self._store.settings(asker), self._gather(user, can_be))
        comes_in = bool(self._visible(owner, asker, Door.REAL_NAME, None))
        if not comes_in and not owner.may_be_answered_by(asker):
            await self._record(owner, Look(began, asker, Door.REAL_NAME, None, False))
            await self._even(began)
            raise Refused
        return Writer(settings.real_name, answers=not comes_in)

    async def wrote(self, writer: str, user: str, answers: bool) -> bool:
        """The user got a message of the writer's under their real name, and may answer unless it is one; whether it was the first one."""
        first = await self._store.wrote(writer, user, answers)
        if first and not answers:
            await self._store.record(user, Look(self._clock.now(), writer, Door.REAL_NAME, None, True))
        return first

    async def has_written(self, writer: str, user: str) -> bool:
        """Whether the user ever got a message of the writer's under their real name."""
        return user in (await self._store.settings(writer)).wrote_to

    async def introduction(self, asker: str, user: str, to: str) -> bool:
        """Whether `to`, a contact of the user's that the asker may see, is to get the asker's introduction; the asker is not told.

        Raises Refused and LinkDown.
        """
        began = self._clock.now()
        owner = await self._gather(user, lambda settings: bool(settings.open(Door.CONTACTS)))
        at = owner.level(to, self._scale)
        seen = at is not None and at in self._visible(owner, asker, Door.CONTACTS, None)
        await self._record(owner, Look(began, asker, Door.CONTACTS, None, seen))
        if not seen:
            await self._even(began)
            raise Refused
        _exists, blocks = await self._of_server(to)
        wanted = not is_blocked(blocks, asker) and not is_blocked(blocks, user) and not is_blocked(owner.blocks, to)
        return wanted and to not in self._unlisted

    async def take_introduction(self, asker: str, to: str) -> float | None:
        """Take the day's one introduction of this pair; None: it is taken, else the instant from which on there is one again."""
        earlier = await self._store.introduce(asker, to, self._clock.now(), DAY)
        return None if earlier is None else earlier + DAY

    # --- the one decision ---

    async def _enter(self, asker: str, user: str, door: Door, asked: int | None, viewer: str | None = None) -> tuple[Owner, frozenset[int]]:
        """As `_look`, where there is at least one level to see. Raises Refused too."""
        owner, levels = await self._look(asker, user, door, asked, viewer)
        if not levels:
            raise Refused
        return owner, levels

    async def _look(self, asker: str, user: str, door: Door, asked: int | None, viewer: str | None = None) -> tuple[Owner, frozenset[int]]:
        """The levels that the asker may look into; a user into all of their own, or as `viewer` would. The look is on record then.

        Without a level it takes a whole number of steps, whatever the reason. Raises LinkDown.
        """
        began = self._clock.now()
        may_choose = viewer is None or asker == user

        def can_be(settings: Settings) -> bool:
            return asker == user or (may_choose and bool(visible_of(settings.open(door), min(LEVELS), asked)))

        owner = await self._gather(user, can_be)
        levels = self._visible(owner, viewer or asker, door, asked) if may_choose else NOTHING
        if asker != user:
            await self._record(owner, Look(began, asker, door, asked, bool(levels)))
        if not levels:
            await self._even(began)
        return owner, levels

    def _visible(self, owner: Owner, viewer: str, door: Door, asked: int | None) -> frozenset[int]:
        if viewer == owner.jid and owner.exists:
            return visible_of(frozenset(LEVELS), min(LEVELS), asked)
        return visible_of(owner.settings.open(door), owner.admits(viewer, self._scale), asked)

    async def _record(self, owner: Owner, look: Look) -> None:
        await self._store.record(owner.jid if owner.exists else NOBODY, look)

    async def _even(self, began: float) -> None:
        """Wait until a whole number of steps has passed since `began`."""
        steps = math.floor((self._clock.now() - began) / STEP) + 1
        passed = asyncio.Event()
        self._clock.alarm(f"levels refusal {next(self._waits)}", began + steps * STEP, passed.set)
        await passed.wait()

    async def _gather(self, user: str, can_be: Callable[[Settings], bool] = lambda _settings: True) -> Owner:
        """`can_be`: whether these settings let anybody in; without, contacts are not asked for, and are nobody. Raises LinkDown."""
        (exists, blocks), settings = await asyncio.gather(self._of_server(user), self._store.settings(user))
        if not exists or not can_be(settings):
            return Owner(user, exists, {}, blocks, settings, {})
        try:
            roster, scores = await asyncio.gather(self._server.roster(user), self._scores(user))
        except LookupError:  # deleted just now
            return Owner(user, False, {}, blocks, settings, {})
        people = {contact: item for contact, item in roster.items() if owner_of(contact, self._jid) is None}
        return Owner(user, exists, people, blocks, settings, scores)

    async def _of_server(self, user: str) -> tuple[bool, frozenset[str]]:
        """Whether the user exists, and whom they block: little to ask for. Of users of other servers nothing is known."""
        if not self.is_local(user):
            return False, frozenset()
        try:
            blocks = await self._server.blocks(user)
            return True, blocks.union(filter(None, (owner_of(blocked, self._jid) for blocked in blocks)))
        except LookupError:
            return False, frozenset()

    async def _scores(self, user: str) -> Mapping[str, float]:
        sent: dict[str, list[tuple[int, int]]] = defaultdict(list)
        received: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for score in await self._ledger.scores(user):
            mine = score.sender == user
            (sent if mine else received)[score.recipient if mine else score.sender].append((score.epoch, score.total))
        half_life, now = self._scale.half_life, self._clock.now()
        return {
            contact: balanced(
                score_at(sent.get(contact, ()), half_life, now), score_at(received.get(contact, ()), half_life, now), self._scale.balance
            )
            for contact in sent.keys() | received.keys()
        }

    def _closeness(self, owner: Owner, contact: str, now: float) -> Closeness:
        return closeness(owner.scores.get(contact, 0.0), owner.labels(contact), self._scale, now)
