"""S0: shows each contact the user's presence that fits their recent contact (spec/10-presence.md).

Gather (roster, block list, pairs, sessions), decide (rules/presence.py), show what differs from what the contact last saw.
A user's state is held while they opted in and have an available session; it is gathered when the first one comes.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from component.lanes import Lanes
from component.ports import Clock, Ledger, LinkDown, Server, Session
from component.presence.store import Settings, Store
from component.rules.facts import Bounce, Fact, Message, Pair, Read
from component.rules.presence import Always, Outcome, Recent, Rules, Seen, Verdict, decide, is_open, standing, tailor, truth
from component.rules.rosters import Roster, is_blocked
from stanzas.jid import bare, split

log = logging.getLogger(__name__)

AGAIN = 5.0
"""Seconds after which a server that did not tell a roster is asked again."""
GATHERING = 32
"""Users gathered at a time: after a start each is soon right, and no request waits for its answer behind those of all others."""
NEVER = Recent()
NOTHING = ""
"""The key of a contact who has seen nothing of a session."""


@dataclass(slots=True)
class _Contact:
    """What passed between the user and this contact: instants, 0.0 for never."""

    sent_at: float = 0.0
    received_at: float = 0.0
    new_at: float = 0.0
    read_at: float = 0.0

    @property
    def unread_at(self) -> float:
        """When the newest unread message came; an answer has read all before it."""
        return self.new_at if self.new_at > max(self.read_at, self.sent_at) else 0.0


@dataclass(slots=True)
class _Shown:
    """What contacts saw of one session, by key (rules/presence.py, Seen): those not in `keys` saw `default` (None: not known)."""

    default: str | None
    keys: dict[str, str]

    def of(self, contact: str) -> str | None:
        return self.keys.get(contact, self.default)

    def now(self, keys: dict[str, str], whole: bool) -> None:
        """These contacts have seen these keys; `whole`: they are all who see the session."""
        if whole and keys:
            # One key is most contacts', most of the time.
            self.default = Counter(keys.values()).most_common(1)[0][0]
            self.keys = {contact: key for contact, key in keys.items() if key != self.default}
        else:
            self.keys.update(keys)


@dataclass(slots=True)
class _User:
    settings: Settings
    gathered: bool = False
    roster: Roster = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    """Who of the roster gets no presence of the user: not subscribed, or blocked."""
    contacts: dict[str, _Contact] = field(default_factory=dict)
    """Those with whom something passed that a window may still hold; with the others nothing recent did."""
    newest_unread: float = 0.0
    settles: bool = False
    """Whether all contacts are about to be shown that something is unread, or nothing any more."""
    shown: dict[str, _Shown] = field(default_factory=dict)
    """By full JID of the session."""
    alarm_at: float | None = None
    """When the next verdict ends."""

    def contact(self, jid: str) -> _Contact:
        known = self.contacts.get(jid)
        if known is None:
            known = self.contacts[jid] = _Contact()
        return known

    def is_viewer(self, contact: str) -> bool:
        return contact in self.roster and contact not in self.hidden

    def viewers(self) -> list[str]:
        """Contacts who get the user's presence: subscribed and not blocked, in the roster's order."""
        return [contact for contact in self.roster if contact not in self.hidden]

    def find_newest_unread(self) -> None:
        self.newest_unread = max((contact.unread_at for contact in self.contacts.values()), default=0.0)


@dataclass(frozen=True)
class Explained:
    """What a contact sees of the user now, and why."""

    contact: str
    verdict: Verdict
    recent: Recent
    newest_unread: float
    """When it came, 0.0: there is none; `unread_of` wrote it."""
    unread_of: str
    sees: Mapping[str, Seen]
    """By full JID of the session; empty while the user is offline."""
    hidden: str
    """Why the contact gets no presence at all; empty if they do."""


class Presence:
    """The service. Its `on_…` methods are the link's listener (link/server.py); they never block."""

    def __init__(self, server: Server, ledger: Ledger, store: Store, clock: Clock, settle: float, defaults: Rules) -> None:
        self._server, self._ledger, self._store, self._clock = server, ledger, store, clock
        self._settle = settle
        self._defaults = defaults
        self._settings: dict[str, Settings] = {}
        self._users: dict[str, _User] = {}
        self._lanes = Lanes("presence", GATHERING)
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def open(self) -> None:
        self._settings = dict(await self._store.all())

    async def drain(self) -> None:
        await self._lanes.drain()

    @property
    def online(self) -> int:
        """How many users' presence is shown now."""
        return len(self._users)

    # --- settings ---

    def settings(self, user: str) -> Settings:
        return self._settings.get(user, Settings(rules=self._defaults))

    async def change(self, user: str, edit: Callable[[Settings], Settings]) -> Settings:
        """Save what `edit` makes of the user's settings, make it true and return it; the contacts have been shown what follows then.

        Raises LinkDown if presence is switched and the server can't be told; nothing is saved then.
        """
        async with self._changing.setdefault(user, asyncio.Lock()):
            before = self.settings(user)
            settings = edit(before)
            if settings.enabled != before.enabled:
                await self._lanes.idle(user)
                if not self._server.linked(split(user)[1]) or (user in self._users and not self._users[user].gathered):
                    raise LinkDown(split(user)[1])
            await self._store.save(user, settings)
            self._settings[user] = settings
            if settings.enabled and not before.enabled:
                self._server.gate(user, True)
                await self._server.confirmed()  # the module has answered with the sessions: see on_session
                await self._lanes.idle(user)
            elif before.enabled and not settings.enabled:
                self._restore(user)
                self._server.gate(user, False)
                self._forget(user)
            elif user in self._users:
                self._users[user].settings = settings
                if _horizon(settings.rules) > _horizon(before.rules):
                    self._lanes.put(user, lambda: self._load_pairs(user))
                    await self._lanes.idle(user)
                self.refresh(user)
            return settings

    async def set_always(self, user: str, who: str, outcome: Outcome | None, until: float | None) -> None:
        """A fixed outcome for a contact (bare JID) or `group:NAME`; None ends it."""
        now = self._clock.now()
        added = {who: Always(who, outcome, until)} if outcome is not None else {}

        def edit(settings: Settings) -> Settings:
            others = {other: rule for other, rule in settings.always.items() if other != who and rule.holds(now)}
            return replace(settings, always=others | added)

        await self.change(user, edit)

    async def opt_out(self, user: str) -> None:
        """Make plain XMPP of a user's presence again, if it is not. Raises LinkDown as `change` does."""
        if self.settings(user).enabled:
            await self.change(user, lambda settings: replace(settings, enabled=False))

    def forget(self, user: str) -> None:
        """The user's data has been erased: they never opted in, and nobody has a rule for them or has heard of them."""
        self._settings.pop(user, None)
        self._forget(user)
        for other, settings in list(self._settings.items()):
            if user in settings.always:
                self._settings[other] = replace(settings, always={who: rule for who, rule in settings.always.items() if who != user})
        for other, state in self._users.items():
            state.settings = self._settings[other]
            if user in state.contacts or state.is_viewer(user):
                self._reload_pairs(other, user, anew=True)

    # --- what the link tells ---

    def gated(self, host: str) -> Iterable[str]:
        return [split(user)[0] for user, settings in self._settings.items() if settings.enabled and split(user)[1] == host]

    def on_session(self, session: Session, shown: Mapping[str, str] | None, true: bool) -> None:
        user = bare(session.jid)
        settings = self._settings.get(user)
        if settings is None or not settings.enabled:
            return
        state = self._users.get(user)
        if state is None:
            state = self._users[user] = _User(settings)
            if self._server.linked(split(user)[1]):  # else this is the state in bulk, and on_ready follows
                self._gather(user)
        if shown is not None:
            state.shown[session.jid] = _Shown(truth(session.own).key if true else None, dict(shown))
        elif session.jid not in state.shown:
            state.shown[session.jid] = _Shown(None, {})
        self.refresh(user)

    def on_gone(self, jid: str) -> None:
        user = bare(jid)
        state = self._users.get(user)
        if state is not None:
            state.shown.pop(jid, None)
            if not self._server.sessions(user):
                self._forget(user)

    def on_ready(self, host: str) -> None:
        for user in list(self._users):
            if split(user)[1] == host:
                self._gather(user)  # what changed while the link was down is not all told
                self.refresh(user)

    def on_down(self) -> None:
        """Nothing is shown while the stream is down; the next hello brings what the contacts have seen."""

    def on_probe(self, contact: str, user: str) -> None:
        state = self._users.get(user)
        if state is not None:
            for shown in state.shown.values():
                shown.keys[contact] = NOTHING
            self.refresh(user, (contact,))

    def on_changed(self, user: str, what: str) -> None:
        if what != "account" and user in self._users:
            self._gather(user, pairs=False)

    def on_message(self, message: Message) -> None:
        sender, recipient = self._users.get(message.sender), self._users.get(message.recipient)
        if sender is not None:
            contact = sender.contact(message.recipient)
            contact.sent_at = max(contact.sent_at, message.at)
            self._contact_changed(message.sender, sender, message.recipient)
        if recipient is not None:
            contact = recipient.contact(message.sender)
            contact.received_at = max(contact.received_at, message.at)
            if not message.correction:
                contact.new_at = max(contact.new_at, message.at)
            self._contact_changed(message.recipient, recipient, message.sender)

    def on_stored(self, fact: Fact) -> None:
        match fact:
            case Message():
                self.on_message(fact)  # an archive import tells it only now
            case Read():
                self._reload_pairs(fact.reader, fact.writer)
            case Bounce():
                self._reload_pairs(fact.sender, fact.recipient, anew=True)
                self._reload_pairs(fact.recipient, fact.sender, anew=True)

    # --- gather ---

    def _gather(self, user: str, pairs: bool = True) -> None:
        async def work() -> None:
            state = self._users.get(user)
            if state is None:
                return
            try:
                roster, blocks = await asyncio.gather(self._server.roster(user), self._server.blocks(user))
                if pairs or not state.gathered:
                    await self._load_pairs(user)
            except LinkDown as error:
                log.info("presence.waits user=%s reason=%s", user, error)
                if self._server.linked(split(user)[1]):  # else on_ready comes back to it
                    self._clock.alarm(f"gather:{user}", self._clock.now() + AGAIN, lambda: self._gather(user, pairs))
                return
            except LookupError:
                self._forget(user)
                return
            before = state.viewers()
            state.roster = roster
            state.hidden = frozenset(contact for contact in roster if contact == user or _hidden(roster, blocks, contact))
            if state.gathered:
                _viewers_changed(state, before)
            state.gathered = True
            self.refresh(user)

        self._lanes.put(user, work)

    def _reload_pairs(self, user: str, contact: str, anew: bool = False) -> None:
        """Take what the ledger has now; of this contact it alone, if `anew`: after a bounce or an erasure a maximum can fall.

        What is not stored yet comes again when it is (`on_stored`).
        """
        if user not in self._users:
            return

        async def work() -> None:
            await self._load_pairs(user, contact if anew else None)
            self.refresh(user, (contact,))

        self._lanes.put(user, work)

    async def _load_pairs(self, user: str, anew: str | None = None) -> None:
        """Take the ledger's pairs into what is known, and in place of what is known of the contact `anew`."""
        pairs = await self._ledger.pairs(user, self._clock.now() - _horizon(self.settings(user).rules))
        state = self._users.get(user)
        if state is not None:
            before = state.newest_unread
            if anew is not None:
                state.contacts.pop(anew, None)
            _merge(state, user, pairs)
            if state.gathered:  # else the first pass over all contacts follows
                self._settle_unread(user, state, before)

    def _forget(self, user: str) -> None:
        self._users.pop(user, None)
        for alarm in ("presence", "settle", "gather"):
            self._clock.alarm(f"{alarm}:{user}", None, lambda: None)

    # --- decide and show ---

    def _contact_changed(self, user: str, state: _User, contact: str) -> None:
        before = state.newest_unread
        state.find_newest_unread()
        self._settle_unread(user, state, before)
        self.refresh(user, (contact,))

    def _settle_unread(self, user: str, state: _User, before: float) -> None:
        """Whether anything is unread touches all contacts in `busy` and `free`: one pass for all changes within `settle` of the first."""
        now, age = self._clock.now(), state.settings.rules.unread_max_age
        if state.settles or is_open(state.newest_unread, age, now) == is_open(before, age, now):
            return

        def settled() -> None:
            state.settles = False
            self.refresh(user)

        state.settles = True
        self._clock.alarm(f"settle:{user}", now + self._settle, settled)

    def _verdict(self, state: _User, contact: str, now: float) -> Verdict:
        known = state.contacts.get(contact)
        recent = Recent(known.sent_at, known.received_at) if known is not None else NEVER
        always = None
        if state.settings.always:
            item = state.roster.get(contact)
            always = standing(state.settings.always, contact, item.groups if item else (), now)
        return decide(recent, state.newest_unread, state.settings.rules, always, now)

    def refresh(self, user: str, only: Iterable[str] | None = None) -> None:
        """Decide anew for these contacts (None: all) and show each what differs from what it last saw of each session."""
        state = self._users.get(user)
        if state is None or not state.gathered or not self._server.linked(split(user)[1]):
            return
        now = self._clock.now()
        viewers = state.viewers() if only is None else [contact for contact in only if state.is_viewer(contact)]
        others = decide(NEVER, state.newest_unread, state.settings.rules, None, now)
        ends = {others.until}
        contacts: dict[Outcome, list[str]] = {others.outcome: []}
        is_other = contacts[others.outcome].append
        for contact in viewers:
            if contact in state.contacts or state.settings.always:
                verdict = self._verdict(state, contact, now)
                ends.add(verdict.until)
                contacts.setdefault(verdict.outcome, []).append(contact)
            else:
                is_other(contact)
        for session in self._server.sessions(user).values():
            self._show(session, state.shown.get(session.jid), contacts, only is None)
        self._set_alarm(user, state, [end for end in ends if end is not None], only is None)

    def _show(self, session: Session, shown: _Shown | None, contacts: Mapping[Outcome, Sequence[str]], whole: bool) -> None:
        if shown is None:
            return  # what its contacts have seen comes with the next notice
        keys: dict[str, str] = {}
        for outcome, those in contacts.items():
            seen = tailor(session.own, outcome)
            keys.update(dict.fromkeys(those, seen.key))
            news = [contact for contact in those if shown.of(contact) != seen.key]
            if news:
                self._server.show(session, seen, news)
        shown.now(keys, whole)

    def _set_alarm(self, user: str, state: _User, ends: list[float], whole: bool) -> None:
        """Wait for the first instant at which a verdict ends. A pass over some contacts can only bring it forward."""
        end = min(ends, default=None)
        if not whole and (end is None or (state.alarm_at is not None and state.alarm_at <= end)):
            return
        state.alarm_at = end
        self._clock.alarm(f"presence:{user}", end, lambda: self.refresh(user))

    def _restore(self, user: str) -> None:
        """Show every contact the truth: the user opted out."""
        state = self._users.get(user)
        if state is None:
            return
        for session in self._server.sessions(user).values():
            shown = state.shown.get(session.jid)
            true = truth(session.own)
            wrong = [contact for contact in state.viewers() if shown is None or shown.of(contact) != true.key]
            if wrong:
                self._server.show(session, true, wrong)

    # --- explain ---

    async def explain(self, user: str, contact: str) -> Explained:
        """What this contact sees of the user. Raises LookupError (no such user) or LinkDown."""
        return (await self._explain(user, (contact,)))[0]

    async def explain_all(self, user: str) -> list[Explained]:
        """The same for every contact of the roster."""
        return await self._explain(user, None)

    async def _explain(self, user: str, contacts: Iterable[str] | None) -> list[Explained]:
        settings = self.settings(user)
        roster, blocks = await self._server.roster(user), await self._server.blocks(user)
        state = _User(settings, roster=roster)
        now = self._clock.now()
        _merge(state, user, await self._ledger.pairs(user))
        unread_of = max(state.contacts, key=lambda contact: state.contacts[contact].unread_at, default="")
        found = []
        for contact in roster if contacts is None else contacts:
            verdict = self._verdict(state, contact, now)
            known = state.contacts.get(contact, _Contact())
            sees = {
                jid: tailor(session.own, verdict.outcome) if settings.enabled else truth(session.own)
                for jid, session in self._server.sessions(user).items()
            }
            found.append(
                Explained(
                    contact,
                    verdict,
                    Recent(known.sent_at, known.received_at),
                    state.newest_unread,
                    unread_of,
                    sees,
                    _hidden(roster, blocks, contact),
                )
            )
        return found


def _hidden(roster: Roster, blocks: frozenset[str], contact: str) -> str:
    item = roster.get(contact)
    if item is None or not item.subscription.sees_me:
        return "not subscribed"
    return "blocked" if is_blocked(blocks, contact) else ""


def _horizon(rules: Rules) -> float:
    """Seconds: what lies further back can't change a verdict."""
    return max(rules.sent_window, rules.received_window, rules.unread_max_age)


def _merge(state: _User, user: str, pairs: Iterable[Pair]) -> None:
    """Take the ledger's pairs into what is known: all are maxima, so that what arrived meanwhile is kept."""
    for pair in pairs:
        if pair.sender == user:
            contact = state.contact(pair.recipient)
            contact.sent_at = max(contact.sent_at, pair.last_at)
        else:
            contact = state.contact(pair.sender)
            contact.received_at = max(contact.received_at, pair.last_at)
            contact.new_at = max(contact.new_at, pair.new_at)
            contact.read_at = max(contact.read_at, pair.read_at)
    state.find_newest_unread()


def _viewers_changed(state: _User, before: Iterable[str]) -> None:
    """Whoever came to see the user's presence, or no longer sees it, has seen nothing of it since."""
    for contact in {*before} ^ {*state.viewers()}:
        for shown in state.shown.values():
            shown.keys[contact] = NOTHING
