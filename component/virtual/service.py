"""S3: one JID stands for a team (spec/20-virtual.md). Wires its parts, answers its addresses, and is what commands change.

conversations.py routes what customers write, replies.py what sub-users write, status.py is about presence, profiles.py about what others
say of themselves, names.py about the virtual users' own.
"""

import asyncio
import logging
import random
from base64 import b64encode
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from hashlib import sha256
from xml.etree.ElementTree import Element

from component.commands.model import Refused
from component.delivery import Delivery
from component.lanes import Lanes
from component.ports import Clock, IqAnswer, Queued, Server, Session, StanzaError
from component.rules.addresses import Address
from component.rules.addresses import Conversation as ConversationAddress
from component.rules.addresses import Virtual as VirtualAddress
from component.rules.routing import Choice
from component.virtual.conversations import Conversations, is_local_to
from component.virtual.deliveries import Conversation
from component.virtual.ids import SealedIds
from component.virtual.model import RESOURCE, Paused, Profile, Record, VirtualUser, profile_of, user_of
from component.virtual.names import Names
from component.virtual.outbox import Outbox, Queue
from component.virtual.profiles import Profiles
from component.virtual.replies import Replies
from component.virtual.status import Status
from component.virtual.store import SavedUser, Store
from component.virtual.team import Sub, Team, replace_profiles
from config import settings
from stanzas.build import element, message, presence
from stanzas.jid import bare
from stanzas.namespaces import DISCO_INFO, DISCO_ITEMS, PING, PUBSUB, PUBSUB_EVENT, VCARD4, VCARD_TEMP, VERSION, qualified
from stanzas.vcards import CARD_NODES, Card, node_answer, requested_node, vcard4, vcard_temp

log = logging.getLogger(__name__)

LATE = 5.0
"""Seconds after which a served host that says nothing of its link holds up nobody any more."""
FEATURES = (
    DISCO_INFO,
    VCARD_TEMP,
    VCARD4,
    VERSION,
    PING,
    "http://jabber.org/protocol/chatstates",
    "jabber:x:oob",
    "urn:xmpp:receipts",
    "urn:xmpp:chat-markers:0",
    "urn:xmpp:message-correct:0",
    "urn:xmpp:reply:0",
    "urn:xmpp:reactions:0",
)


class NameTaken(Exception):
    """Two have the same name at the component's domain; the message says so in one line."""


class Virtual:
    """The service, and the handler (ports.Handler) of virtual users' and conversations' addresses."""

    def __init__(
        self,
        domain: str,
        served_hosts: Collection[str],
        server: Server,
        queue: Queue,
        store: Store,
        clock: Clock,
        delivery: Delivery,
        version: Callable[[], Element],
        configured: Sequence[settings.Virtual] = (),
        taken: Collection[str] = (),
    ) -> None:
        """`version` makes the answer to XEP-0092; `taken`: names of web communities, which virtual users can't have."""
        self.domain = domain
        self.teams: dict[str, Team] = {}
        self._served_hosts = frozenset(served_hosts)
        self._server, self._store, self._clock, self._version = server, store, clock, version
        self._configured = {table.node: table for table in configured}
        self._taken = frozenset(taken)
        self._gone: Mapping[str, SavedUser] = {}
        """Virtual users that the configuration had and has no more."""
        self._lanes = Lanes("virtual")
        self._outbox = Outbox(server, queue, store, delivery)
        self._names = Names(domain, server)
        self.profiles = Profiles(server, clock, self._named)
        self.conversations = Conversations(
            domain,
            self.teams,
            server,
            queue,
            store,
            self._outbox,
            clock,
            self.profiles,
            is_local_to(served_hosts),
            random.SystemRandom().random,
        )
        self.replies = Replies(domain, self.conversations, server, store, self._outbox, clock, self.profiles, self._unpause)
        self.status = Status(domain, self.teams, server, store, clock, self.profiles, self._came, self.conversations.go_on)
        self.conversations.is_located, self.conversations.locate = self.status.is_located, self.status.locate
        self.conversations.on_given = self._given
        self.conversations.on_ended = self.replies.ended
        self.conversations.on_paused = self._pause_unanswered
        self._unknown_hosts = set(self._served_hosts)
        self.iqs: Mapping[tuple[str, str], IqAnswer] = {
            ("get", qualified(DISCO_INFO, "query")): self._disco,
            ("get", qualified(DISCO_ITEMS, "query")): self._no_items,
            ("get", qualified(VCARD_TEMP, "vCard")): self._vcard_temp,
            ("get", qualified(VCARD4, "vcard")): self._vcard4,
            ("get", qualified(PUBSUB, "pubsub")): self._node,
            ("get", qualified(VERSION, "query")): self._answer_version,
            ("get", qualified(PING, "ping")): self._pong,
        }

    # --- start and end ---

    async def open(self) -> None:
        """Take over the configuration, and what was remembered. Raises NameTaken."""
        saved = await self._store.load(self._clock.now())
        gone = {node for node, user in saved.users.items() if node not in self._configured and user.seed is not None}
        if clash := sorted(self._taken & saved.users.keys() - gone):
            raise NameTaken(f"{clash[0]!r} is a virtual user that was added live, and a community of the configuration: rename one")
        self._gone = {node: saved.users[node] for node in gone}
        for node, table in self._configured.items():
            await self._configure(node, table, saved.users.get(node))
        for node, user in saved.users.items():
            if node not in self._configured and node not in gone:
                self._add(user.settings, user.members, None, user)
        self.conversations.ids = SealedIds(saved.key)
        self.conversations.declared = dict(saved.customers)
        self.conversations.load(saved.conversations, saved.records, saved.sent)
        self.status.avatars = {
            node: await asyncio.to_thread(table.avatar.read_bytes) for node, table in self._configured.items() if table.avatar is not None
        }
        self.status.load(saved.subscribers, saved.watched)

    async def _configure(self, node: str, table: settings.Virtual, saved: SavedUser | None) -> None:
        """What was changed live holds until the configuration is changed."""
        seed = _seed(table)
        if saved is not None and saved.seed == seed:
            self._add(saved.settings, saved.members, seed, saved)
            return
        paused = {jid: paused for jid, (_, paused) in saved.members.items()} if saved is not None else {}
        members = {member.jid: (profile_of(member), paused.get(member.jid, Paused.NO)) for member in table.team}
        user = user_of(table)
        await self._store.save_user(user, members.values(), seed)
        self._add(user, members, seed, saved)

    def _add(self, user: VirtualUser, members: Mapping[str, tuple[Profile, Paused]], seed: str | None, saved: SavedUser | None) -> Team:
        team = self.teams[user.node] = Team(user, seed)
        if saved is not None:
            team.shown = saved.shown
        replace_profiles(team, members)
        return team

    async def drain(self) -> None:
        """Stop asking, and let what has begun end."""
        self._names.stop()
        self.profiles.stop()
        await self.settled()

    async def settled(self) -> None:
        """Wait until what has begun has ended, and is durable."""
        await self._lanes.drain()
        await self.conversations.drain()
        await self.status.drain()
        await self._names.drain()
        await self._store.flushed()

    # --- what the link tells ---

    def on_session(self, session: Session) -> None:
        self.status.somebody_moved(bare(session.jid))

    def on_gone(self, jid: str) -> None:
        self.status.somebody_moved(bare(jid))

    def on_ready(self, host: str) -> None:
        """All sessions of this served host are known now; or never will be, as it has no link."""
        self._unknown_hosts.discard(host)
        if self._unknown_hosts:
            self._clock.alarm(_LATE_ALARM, self._clock.now() + LATE, self._come_live)
        else:
            self._come_live()

    def on_down(self) -> None:
        """The stream is gone: who is there is not known until it is back."""
        self.status.live = self.conversations.live = False
        self._unknown_hosts = set(self._served_hosts)
        self._clock.alarm(_LATE_ALARM, None, self._come_live)

    def _come_live(self) -> None:
        self._clock.alarm(_LATE_ALARM, None, self._come_live)
        self._lanes.put("live", self._live)

    async def _live(self) -> None:
        await self._end_gone()
        await self.status.came_live()
        self.replies.came_live()
        self.conversations.came_live()

    async def _end_gone(self) -> None:
        """The configuration names these no more: whoever sees them is told before they are forgotten."""
        for node in self._gone.keys() - self.teams.keys():
            user = self._gone[node]
            team = Team(user.settings, user.seed)
            replace_profiles(team, user.members)
            await self.status.goodbye(team)
            await self._store.remove_user(node)
        self._gone = {}

    async def flushed(self) -> None:
        """Wait until what was noted of conversations so far is durable."""
        await self._store.flushed()

    def forget(self, user: str) -> None:
        """A user's data is to be erased: memory holds none of it from now on, and the notes of it are on their way to the database."""
        for team in list(self.teams.values()):
            if team.seed is None and user in team.accounts:  # whom the configuration names stays a sub-user
                others = {sub.jid: (sub.profile, sub.paused) for sub in team.subs.values() if bare(sub.jid) != user}
                self._changed(team, replace_profiles(team, others))
                self._lanes.put(team.node, partial(self.status.unwatch, team, (user,)))
            self.conversations.forget(team, user)
        self.conversations.declared.pop(user, None)
        self.status.forget(user)
        self.profiles.forget(user)
        self._store.hurry()

    # --- addresses (ports.Handler) ---

    async def message(self, address: Address, queued: Queued) -> bool:
        team = self._team(address)
        try:
            if isinstance(address, ConversationAddress):
                return await self.replies.take(team, address.customer, queued)
            sender = queued.stanza.get("from", "")
            self._names.seen(team, sender)
            if (sub := team.of(sender)) is not None:
                self.replies.heard(team, sub, queued.stanza)
            return self.conversations.take(team, bare(sender), queued)
        except ValueError as error:
            raise StanzaError("not-acceptable", str(error)) from None

    async def other_message(self, address: Address, stanza: Element) -> None:
        team, sender = self._team(address), stanza.get("from", "")
        event = stanza.find(qualified(PUBSUB_EVENT, "event"))
        if stanza.get("type") != "error":
            if event is not None and self.profiles.event(bare(sender), event):
                self.status.located(bare(sender))
        elif isinstance(address, ConversationAddress):
            self.conversations.came_back(team, address.customer, sender, stanza.get("id", ""))
        else:
            self.replies.error(team, bare(sender), stanza)

    async def presence(self, address: Address, stanza: Element) -> None:
        team = self._team(address)
        if isinstance(address, ConversationAddress):
            self._presence_of_conversation(team, address.customer, stanza)
        else:
            await self.status.take(team, stanza)
            self._seen(team, stanza)

    def _seen(self, team: Team, stanza: Element) -> None:
        """Clients of a subscriber are to know the virtual user's name."""
        sender, kind = stanza.get("from", ""), stanza.get("type")
        if kind in ("subscribe", "probe") and self.status.is_subscriber(team, bare(sender)):
            for client in (sender, *self._server.sessions(bare(sender))):
                self._names.seen(team, client)

    def _presence_of_conversation(self, team: Team, customer: str, stanza: Element) -> None:
        """A sub-user has a conversation in the roster: it is there while it is open."""
        sender, kind = stanza.get("from", ""), stanza.get("type")
        if team.of(sender) is None or kind not in ("subscribe", "probe"):
            return
        jid = self.conversations.address(team, customer)
        if kind == "subscribe":
            self._server.send(presence(jid, bare(sender), kind="subscribed"))
        is_open = self.conversations.of(team, customer) is not None
        self._server.send(presence(f"{jid}/{RESOURCE}", sender, kind=None if is_open else "unavailable"))

    async def _disco(self, iq: Element, address: Address) -> Element:
        if iq[0].get("node"):
            raise StanzaError("item-not-found")
        query = element(DISCO_INFO, "query")
        name = (await self._card(iq, address)).nickname
        query.append(element(DISCO_INFO, "identity", {"category": "account", "type": "registered", "name": name}))
        query.extend(element(DISCO_INFO, "feature", {"var": feature}) for feature in FEATURES)
        return query

    async def _no_items(self, iq: Element, _address: Address) -> Element:
        return element(DISCO_ITEMS, "query", {"node": iq[0].get("node")})

    async def _vcard_temp(self, iq: Element, address: Address) -> Element:
        return vcard_temp(await self._card(iq, address))

    async def _vcard4(self, iq: Element, address: Address) -> Element:
        return vcard4(await self._card(iq, address))

    async def _node(self, iq: Element, address: Address) -> Element:
        """A PEP node of the address: clients ask for nick and vCard4 there."""
        card = await self._card(iq, address)
        node = requested_node(iq[0])
        if node is None:
            raise StanzaError("feature-not-implemented")
        if node not in CARD_NODES:
            raise StanzaError("item-not-found")
        return node_answer(node, card)

    async def _card(self, iq: Element, address: Address) -> Card:
        """The card of a virtual user; or, for its sub-users, of a customer."""
        team = self._team(address)
        if isinstance(address, ConversationAddress):
            if team.of(iq.get("from", "")) is None:
                raise Refused
            if not self.profiles.is_known(address.customer):
                await self.profiles.ask(address.customer, self._user(team), team.settings.policy)
            name = self.profiles.of(address.customer).name(address.customer)
            return Card(nickname=name, fn=name)
        avatar = self.status.avatars.get(team.node)
        return Card(nickname=team.settings.name, fn=team.settings.name, photo=_data_link(avatar) if avatar else "")

    async def _answer_version(self, _iq: Element, _address: Address) -> Element:
        return self._version()

    async def _pong(self, _iq: Element, _address: Address) -> None:
        return None

    def _team(self, address: Address) -> Team:
        team = self.teams.get(address.node) if isinstance(address, VirtualAddress | ConversationAddress) else None
        if team is None:
            raise StanzaError("item-not-found")
        return team

    # --- what commands ask and change ---

    def is_virtual(self, node: str) -> bool:
        return node in self.teams

    def items(self) -> Sequence[tuple[str, str]]:
        """(JID, name) of every virtual user, for disco#items of the domain."""
        return [(self._user(team), team.settings.name) for team in sorted(self.teams.values(), key=lambda team: team.node)]

    def teams_of(self, jid: str) -> Sequence[Team]:
        """The teams that a full JID is a sub-user of."""
        return [team for team in self.teams.values() if team.of(jid) is not None]

    async def save_user(self, user: VirtualUser) -> None:
        """Add a virtual user, or change its settings. Raises NameTaken."""
        if user.node in self._taken:
            raise NameTaken(f"{user.node!r} is a web community")
        team = self.teams.get(user.node)
        if team is None:
            team = self._add(user, {}, None, None)
        await self._store.save_user(user, _members(team), team.seed)
        before, team.settings = team.settings, user
        if user.policy != before.policy:
            self.status.measure(team)
        self._names.renamed(team)
        self._changed(team, ())

    async def remove_user(self, node: str) -> None:
        """Remove a virtual user that was added live: whoever waits is told. Raises NameTaken for one of the configuration."""
        if node in self._configured:
            raise NameTaken(f"{node!r} is in the configuration file: remove it there")
        team = self.teams.pop(node)
        self.conversations.end_all(team)
        await self.status.goodbye(team)
        await self._store.remove_user(node)

    async def save_members(self, team: Team, profiles: Sequence[Profile]) -> None:
        """Make these the team; whoever stays keeps conversations and pauses."""
        paused = {sub.jid: sub.paused for sub in team.subs.values()}
        members = {profile.jid: (profile, paused.get(profile.jid, Paused.NO)) for profile in profiles}
        await self._store.save_user(team.settings, members.values(), team.seed)
        before = team.accounts
        gone = replace_profiles(team, members)
        await self.status.unwatch(team, sorted(before - team.accounts))
        if self.status.live:
            await self.status.watch(team)
        self._changed(team, gone)

    def _changed(self, team: Team, gone: Sequence[Sub]) -> None:
        self.status.look(team)
        self.conversations.members_changed(team, gone)

    async def save_customer(self, jid: str, profile: Profile | None) -> None:
        """What an admin says of a customer (bare JID), for the policies; None: nothing."""
        await self._store.save_customer(profile, jid)
        if profile is None:
            self.conversations.declared.pop(jid, None)
        else:
            self.conversations.declared[jid] = profile

    async def pause(self, team: Team, sub: Sub, paused: Paused) -> None:
        """Whether the sub-user takes new conversations."""
        await self._store.save_paused(team.node, sub.jid, paused)
        sub.paused = paused
        sub.changed()
        if paused is Paused.NO:
            self.conversations.go_on(team)

    async def try_customer(self, team: Team, customer: str, policies: Sequence[str]) -> Choice:
        """Who would get this customer's message now, by these policies. Changes nothing."""
        await self.conversations.learn(team, customer, policies)
        return self.conversations.would_get(team, customer, policies)

    # --- what its parts tell each other ---

    def _came(self, team: Team, sub: Sub) -> None:
        if sub.away_since:
            self.replies.back(team, sub)
        self.conversations.somebody_came(team)

    async def _given(self, team: Team, conversation: Conversation, before: str | None, record: Record) -> None:
        await self.replies.introduce(team, conversation, before, record)

    def _named(self, customer: str) -> None:
        for team in self.teams.values():
            conversation = self.conversations.of(team, customer)
            if conversation is not None and conversation.member is not None and not conversation.busy:
                self.replies.name(team, conversation, conversation.member)

    def _pause_unanswered(self, team: Team, sub: Sub) -> None:
        text = (
            f"{sub.missed} customers of {team.settings.name} got no answer from you in time: you get no new ones for now. "
            "Any message of yours, here or in a conversation, ends that."
        )
        sub.paused = Paused.UNANSWERED
        sub.changed()
        self._server.send(message(self._user(team), sub.jid, text))
        self._lanes.put(team.node, lambda: self._store.save_paused(team.node, sub.jid, sub.paused))

    def _unpause(self, team: Team, sub: Sub) -> None:
        sub.paused = Paused.NO
        sub.changed()
        self._lanes.put(team.node, lambda: self._store.save_paused(team.node, sub.jid, sub.paused))
        self.conversations.go_on(team)

    def _user(self, team: Team) -> str:
        return f"{team.node}@{self.domain}"


def _members(team: Team) -> Sequence[tuple[Profile, Paused]]:
    return [(sub.profile, sub.paused) for sub in team.subs.values()]


def _seed(table: settings.Virtual) -> str:
    """What the configuration says, as one text: another one means that it was changed."""
    said = table.model_dump(mode="python", exclude={"avatar", "members", "member"})
    team = [
        (member.jid, member.capacity, member.lat, member.lon, repr(member.hours), sorted(member.attributes.items()))
        for member in table.team
    ]
    return sha256(repr((sorted(said.items()), team)).encode()).hexdigest()


def _data_link(image: bytes) -> str:
    kind = next(kind for magic, kind in _IMAGES if image.startswith(magic))
    return f"data:image/{kind};base64,{b64encode(image).decode()}"


_IMAGES = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpeg"), (b"GIF8", "gif"), (b"RIFF", "webp"))
_LATE_ALARM = "virtual.late"
