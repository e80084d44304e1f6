"""Customers' messages on their way to sub-users (spec/20-virtual.md, A message from a customer; If it fails).

A conversation holds, in order: what *waits* for a sub-user, and what was *sent* but may come back. A message leaves the queue when the
server has taken it and it can't come back any more. Deciding never awaits, so that two devices of a customer make one conversation.
"""

import asyncio
import logging
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from xml.etree.ElementTree import Element

from component.ports import Clock, Queued, Server, StanzaError
from component.rules import addresses, routing
from component.rules.routing import Call, Choice, Step, choose, is_valid, standing
from component.virtual.deliveries import Conversation, Delivery, SentMessages
from component.virtual.ids import SealedIds
from component.virtual.model import CUSTOMER, LONGEST_LINE, Line, Paused, Profile, Record, WhenOffline, attributes_of
from component.virtual.outbox import Outbox, Queue, TooLarge
from component.virtual.profiles import Profiles
from component.virtual.relay import counts, inward, is_passing, languages_of, nick_of, text_of
from component.virtual.store import Known, SavedConversation, Sent, Store
from component.virtual.team import Sub, Team
from stanzas.build import error_reply, message
from stanzas.jid import bare, split
from stanzas.serialise import serialise

log = logging.getLogger(__name__)

MOST_WAITING = 10_000
"""Messages of one customer that wait; what comes past that is returned with `resource-constraint`. As many as the server's module keeps
while Rapport is away (docs/link.md, 2): coming back refuses nobody."""
MOST_KEPT, FEW_WAITING = 50_000, 20
"""Messages of all customers in the queue; past that no more than a few of one customer may wait."""
MOST_OPEN = 20_000
"""Open conversations of one virtual user; past that a new customer's message is returned in the same way."""
REMOTE_PATIENCE = 90.0
"""Seconds in which a remote server's error may still come; until then the message stays in the queue."""


class Conversations:
    """All conversations of all virtual users."""

    def __init__(
        self,
        domain: str,
        teams: Mapping[str, Team],
        server: Server,
        queue: Queue,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        profiles: Profiles,
        is_local: Callable[[str], bool],
        draw: Callable[[], float],
    ) -> None:
        self._domain, self._teams = domain, teams
        self._server, self._queue, self._store, self._outbox = server, queue, store, outbox
        self._clock, self._profiles, self._is_local, self._draw = clock, profiles, is_local, draw
        self.ids: SealedIds
        self.live = False
        """Whether it is known who is there; until then everything waits."""
        self.declared: dict[str, Profile] = {}
        """What an admin says of customers."""
        self.on_given: Callable[[Team, Conversation, str | None, Record], Coroutine[Any, Any, None]]
        """Tells a sub-user, before the first message, whose conversation is theirs now; the one before, if any."""
        self.on_ended: Callable[[Conversation, str], None]
        """Tells that this member has the conversation no more."""
        self.on_paused: Callable[[Team, Sub], None]
        self.is_located: Callable[[Team, Collection[str]], bool]
        """Whether it is known where the sub-users are, as far as these policies need it."""
        self.locate: Callable[[Team], Coroutine[Any, Any, None]]
        """Asks them."""
        self._open: dict[str, OrderedDict[str, Conversation]] = {}
        """By node and customer, the one that is longest without a message first."""
        self._records: dict[tuple[str, str], dict[str, float]] = {}
        """By node and customer: member → when a message last went there."""
        self._sent = SentMessages()
        self._already: dict[int, Sent] = {}
        """What a run before this one sent, by number in the queue."""
        self._kept = 0
        """Messages in the queue."""
        self._conversation_id = self._record_id = 0
        self._tasks: set[asyncio.Task[None]] = set()

    # --- start and end ---

    def load(self, saved: Iterable[SavedConversation], records: Iterable[Known], sent: Mapping[int, Sent]) -> None:
        newest: dict[tuple[str, str], Known] = {}
        for known in records:
            self._records.setdefault((known.node, known.customer), {})[known.member] = known.last_at
            self._record_id = max(self._record_id, known.id)
            team = self._teams.get(known.node)
            if team is not None and (sub := team.subs.get(known.member)) is not None:
                sub.turn, sub.active_at = max(sub.turn, known.id), max(sub.active_at, known.last_at)
                sub.changed()
            if known.id >= newest.get((known.node, known.customer), known).id:
                newest[known.node, known.customer] = known
        for row in saved:
            team = self._teams.get(row.node)
            self._conversation_id = max(self._conversation_id, row.id)
            if team is None:
                self._store.forget(row.id)
                continue
            conversation = self._add(team, row.customer, row.id, row.opened_at, row.last_at)
            conversation.told = row.told
            if row.member is not None and row.member not in team.subs:
                conversation.left_by = row.member
            elif row.member is not None:
                conversation.member = row.member
                conversation.record = newest[row.node, row.customer].id if (row.node, row.customer) in newest else 0
                self._count(team, conversation, row.member)
        self._already = dict(sent)

    async def drain(self) -> None:
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        await self._outbox.drain()

    def came_live(self) -> None:
        """It is known who is there: all that waits goes on."""
        self.live = True
        for team in self._teams.values():
            self.go_on(team)
            self._watch_age(team)

    # --- questions ---

    def of(self, team: Team, customer: str) -> Conversation | None:
        """The customer's open conversation."""
        return self._open[team.node].get(customer) if team.node in self._open else None

    def of_team(self, team: Team) -> Sequence[Conversation]:
        """All open conversations, the one that is longest without a message first."""
        return list(self._open[team.node].values()) if team.node in self._open else ()

    def records(self, team: Team, customer: str) -> Mapping[str, float]:
        return self._records.get((team.node, customer), {})

    def ask(
        self,
        team: Team,
        customer: str,
        delivery: Delivery | None = None,
        passed_by: Iterable[str] = (),
        policies: Sequence[str] | None = None,
    ) -> Choice:
        """Who would get a conversation of this customer now, by these policies (None: the team's). Changes nothing."""
        now = self._clock.now()
        person = self._profiles.of(customer)
        declared = self.declared.get(customer)
        attributes = dict(person.attributes_at(now))
        if delivery is not None and (languages := languages_of(delivery.queued.stanza, attributes.get("language", frozenset()))):
            attributes["language"] = languages
        if declared is not None:
            attributes.update(attributes_of(declared.attributes))
        call = Call(
            now,
            self.records(team, customer),
            team.settings.history_expiry,
            person.place or (declared.place if declared else None),
            attributes,
            frozenset([*passed_by, *(delivery.tried if delivery else ()), *(jid for jid in team.subs if bare(jid) == customer)]),
            self._draw(),
        )
        return choose(call, team.members(), team.settings.policy if policies is None else policies)

    def would_get(self, team: Team, customer: str, policies: Sequence[str]) -> Choice:
        """Who would get this customer's next message, by these policies, and why. Changes nothing."""
        conversation = self.of(team, customer)
        if conversation is not None:
            sub = team.subs.get(conversation.member or "")
            stays = self._standing(team, conversation)
            if sub is not None and stays.step is not Step.CHOOSE:
                return Choice(sub.jid, "same sub-user" if stays.step is Step.KEEP else "waited for", {})
        return self.ask(team, customer, policies=policies)

    # --- from the customer ---

    def take(self, team: Team, customer: str, queued: Queued) -> bool:
        """A customer's message. True: there is nothing to do for it. Raises StanzaError: it is returned."""
        stanza = queued.stanza
        delivery = Delivery(queued, counts(stanza), queued.id)
        conversation = self.of(team, customer)
        if conversation is not None and self._is_over(team, conversation):
            self.end(team, conversation)
            conversation = None
        if nick := nick_of(stanza):
            self._profiles.says(customer, nick)
        if not delivery.says and (conversation is None or not self._can_follow(team, conversation, stanza)):
            return True
        if conversation is None and len(self._open.get(team.node, ())) >= MOST_OPEN:
            raise StanzaError("resource-constraint", f"Too many people write to {team.settings.name} now.")
        if conversation is None:
            conversation = self._begin(team, customer, queued.at)
        if len(conversation.waiting) >= (MOST_WAITING if self._kept < MOST_KEPT else FEW_WAITING):
            raise StanzaError("resource-constraint", "Too many of your messages are waiting.")
        self._kept += 1
        if delivery.says:
            self._heard(team, conversation, queued.at)
            if text := text_of(stanza):
                self._store.line(line_of(queued, conversation, CUSTOMER, text))
        if stanza_id := stanza.get("id"):
            conversation.their_ids.append(stanza_id)
        already = self._already.pop(queued.id, None)
        if already is not None:
            delivery.tries, delivery.noted = already.tries, True
        if already is not None and already.member and already.member == conversation.member:
            delivery.member = already.member
            self._sent.add(conversation.address, delivery)
            self._expect_answer(team, conversation, delivery)
            self._hold(team, conversation, delivery)
        else:
            insort(conversation.waiting, delivery)
            self._advance(conversation)
        return False

    def came_back(self, team: Team, customer: str, sender: str, stanza_id: str) -> None:
        """A sub-user's side returned a message with an error: it goes to the next choice, in its order."""
        found = self._sent.find(self.address(team, customer), stanza_id, sender)
        if found is None:
            self._came_back_from_before(team, customer, sender, stanza_id)
            return
        log.info("virtual.returned virtual=%s member=%s", team.node, found.member)
        found.tried.add(found.member)
        self._count_try(found)
        conversation = self._take_back(team, customer, found)
        if conversation is not None:
            # Errors of what was sent after it are on their way: they must be known before the next one goes.
            self._run(conversation, self._await_errors(conversation, found))

    def _came_back_from_before(self, team: Team, customer: str, sender: str, stanza_id: str) -> None:
        """An error for what a run before this one sent: the server would drop another message of the same `once`."""
        conversation = self.of(team, customer)
        sub = team.of(sender)
        for delivery in conversation.waiting if conversation is not None and sub is not None else ():
            if delivery.queued.stanza.get("id") == stanza_id and not delivery.tries and sub is not None:
                delivery.tried.add(sub.jid)
                self._count_try(delivery)
                return

    async def _await_errors(self, conversation: Conversation, delivery: Delivery) -> None:
        if delivery.stored is None:
            payload = serialise(delivery.queued.stanza, "").encode()
            delivery.stored = await self._queue.put(conversation.address, payload, delivery.queued.at)
            self._kept += 1
        await self._server.confirmed()

    # --- what moves a conversation ---

    def go_on(self, team: Team) -> None:
        """Somebody came, or got room: the waiting go first, oldest first."""
        waiting = [conversation for conversation in self.of_team(team) if conversation.waiting]
        for conversation in sorted(waiting, key=lambda one: one.waiting[0].queued.id):
            self._advance(conversation)

    def somebody_came(self, team: Team) -> None:
        """A sub-user became available: what came back from everybody may be tried anew."""
        for conversation in self.of_team(team):
            for delivery in conversation.waiting:
                delivery.tried.clear()
        self.go_on(team)

    def give(self, team: Team, conversation: Conversation, member: str, policy: str, considered: Mapping[str, str]) -> None:
        """Make this member the conversation's sub-user, and write the record."""
        now = self._clock.now()
        before = conversation.member
        left_by, conversation.left_by = conversation.left_by, None
        self._uncount(team, conversation)
        self._record_id += 1
        conversation.member, conversation.record, conversation.asked = member, self._record_id, False
        self._count(team, conversation, member)
        sub = team.subs[member]
        sub.turn, sub.active_at = self._record_id, now
        sub.changed()
        record = Record(self._record_id, team.node, conversation.customer, member, policy, now, considered)
        self._records.setdefault((team.node, conversation.customer), {})[member] = now
        self._store.record(record)
        self._store.keep(conversation.saved)
        log.info("virtual.given virtual=%s member=%s policy=%s", team.node, member, policy)
        self._run(conversation, self._introduce(team, conversation, before or left_by, record))
        if before is not None and before != member:
            self.on_ended(conversation, before)
            self.go_on(team)

    async def _introduce(self, team: Team, conversation: Conversation, before: str | None, record: Record) -> None:
        # The record first: a message that was sent is found again by it after a crash.
        await self._store.flushed()
        await self.on_given(team, conversation, before, record)

    def begin(self, team: Team, customer: str) -> Conversation:
        """A sub-user opens a conversation. Raises ValueError: no address can stand for this customer."""
        return self._begin(team, customer, self._clock.now())

    def answered(self, team: Team, conversation: Conversation, at: float) -> None:
        """The sub-user wrote to the customer."""
        self._heard(team, conversation, at)
        conversation.unanswered.clear()
        conversation.passed_by.clear()
        self._clock.alarm(_answer_alarm(conversation), None, _nothing)
        self.release(conversation)

    def release(self, conversation: Conversation) -> None:
        """The sub-user gave a sign: what was sent has arrived."""
        unanswered = {delivery.queued.id for delivery in conversation.unanswered}
        for number in [number for number in conversation.held if number not in unanswered]:
            self._deal(conversation.held.pop(number))

    def end(self, team: Team, conversation: Conversation) -> None:
        """Close a conversation: its lines are forgotten. What still waits begins a new one."""
        member = conversation.member
        self._uncount(team, conversation)
        del self._open[team.node][conversation.customer]
        conversation.unanswered.clear()
        self.release(conversation)
        for alarm in (_answer_alarm, _grace_alarm, _held_alarm):
            self._clock.alarm(alarm(conversation), None, _nothing)
        self._store.forget(conversation.id)
        conversation.member = None
        if member is not None:
            self.on_ended(conversation, member)
        if any(delivery.says for delivery in conversation.waiting):
            new = self._begin(team, conversation.customer, conversation.last_at)
            new.waiting, conversation.waiting = conversation.waiting, []
            self._advance(new)
        else:
            self._drop(conversation)
        self.go_on(team)

    def end_all(self, team: Team) -> None:
        """The virtual user is removed: whoever waits is told that it is gone."""
        for conversation in self.of_team(team):
            self._return(conversation.waiting, "item-not-found")
            conversation.waiting.clear()
            if conversation.member is not None:
                self.on_ended(conversation, conversation.member)
            self._uncount(team, conversation)
            conversation.unanswered.clear()
            self.release(conversation)
            for alarm in (_answer_alarm, _grace_alarm, _held_alarm):
                self._clock.alarm(alarm(conversation), None, _nothing)
        self._open.pop(team.node, None)
        self._clock.alarm(_age_alarm(team), None, _nothing)
        for key in [key for key in self._records if key[0] == team.node]:
            del self._records[key]

    def forget(self, team: Team, user: str) -> None:
        """What is remembered of a bare JID is erased: what they wrote as a customer, and what they have as a sub-user."""
        conversation = self.of(team, user)
        if conversation is not None:
            self._drop(conversation)
            self.end(team, conversation)
            self._sent.forget(conversation.address)
        self._records.pop((team.node, user), None)
        for (node, _customer), members in self._records.items():
            for jid in [jid for jid in members if node == team.node and bare(jid) == user]:
                del members[jid]
        for sub in [sub for sub in team.subs.values() if bare(sub.jid) == user]:
            self._take_from(team, sub, None)
            sub.customers.clear()
            sub.paused = Paused.NO
            sub.turn, sub.active_at, sub.missed = 0, 0.0, 0
            sub.changed()
        for conversation in self.of_team(team):
            if conversation.left_by is not None and bare(conversation.left_by) == user:
                conversation.left_by = None
                self._store.keep(conversation.saved)
        self.go_on(team)

    def members_changed(self, team: Team, gone: Iterable[Sub]) -> None:
        """Sub-users were removed: their conversations are anybody's, the others may have room."""
        for sub in gone:
            self._take_from(team, sub, sub.jid)
        self._watch_age(team)
        self.go_on(team)

    def _take_from(self, team: Team, sub: Sub, left_by: str | None) -> None:
        for customer in sub.customers:
            conversation = self.of(team, customer)
            if conversation is not None:
                conversation.member, conversation.left_by = None, left_by
                self._store.keep(conversation.saved)
                self.on_ended(conversation, sub.jid)

    # --- deciding ---

    def _advance(self, conversation: Conversation) -> None:
        """Send what waits, to the sub-user whom the rules name now; or wait for what they wait for."""
        if conversation.busy or not conversation.waiting or not self.live:
            return
        team = self._teams[conversation.node]
        stays = self._standing(team, conversation)
        if stays.step is Step.KEEP:
            self._send_waiting(team, conversation, team.subs[conversation.member or ""])
        elif stays.step is Step.WAIT:
            self._clock.alarm(_grace_alarm(conversation), stays.until, lambda: self._advance(conversation))
        elif not any(delivery.says for delivery in conversation.waiting):
            self._drop(conversation)
        elif not self._knows_enough(team, conversation):
            conversation.asked = True
            self._run(conversation, self.learn(team, conversation.customer, team.settings.policy))
        else:
            choice = self.ask(team, conversation.customer, conversation.waiting[0])
            if choice.member is None and not team.unknown:
                self._nobody(team, conversation)
            elif choice.member is not None:
                self.give(team, conversation, choice.member, choice.policy, choice.considered)

    def _knows_enough(self, team: Team, conversation: Conversation) -> bool:
        policies = team.settings.policy
        known = conversation.asked or self._profiles.is_known(conversation.customer, policies)
        return known and self.is_located(team, policies)

    async def learn(self, team: Team, customer: str, policies: Collection[str]) -> None:
        """Ask for what these policies need to know and is not known; waits as long as profiles.PATIENCE says."""
        asks = []
        if not self._profiles.is_known(customer, policies):
            asks.append(self._profiles.ask(customer, self._user(team), policies))
        if not self.is_located(team, policies):
            asks.append(self.locate(team))
        await asyncio.gather(*asks)

    def _standing(self, team: Team, conversation: Conversation) -> routing.Standing:
        settings = team.settings
        sub = team.subs.get(conversation.member or "")
        if sub is not None and conversation.waiting and sub.jid in conversation.waiting[0].tried:
            sub = None
        if sub is not None and bare(sub.jid) in team.unknown:
            return routing.Standing(Step.WAIT)  # until Status knows
        return standing(
            sub.member if sub else None,
            conversation.last_at,
            sub.away_since if sub else 0.0,
            settings.history_expiry,
            settings.absence_grace,
            self._clock.now(),
        )

    def _nobody(self, team: Team, conversation: Conversation) -> None:
        if team.settings.when_offline is WhenOffline.BOUNCE:
            returned, conversation.waiting = conversation.waiting, []
            if conversation.member is None:
                del self._open[team.node][conversation.customer]
                self._store.forget(conversation.id)
            self._return(returned, "recipient-unavailable", f"Nobody of {team.settings.name} is available now.")
        elif not conversation.told:
            text = f"Nobody of {team.settings.name} is available now. Your message is kept, and will be delivered when somebody is."
            first = conversation.waiting[0].queued
            told = message(self._user(team), conversation.customer, text, kind=first.stanza.get("type"))
            conversation.told = True
            # Told first, noted after: the server drops a second one of the same id.
            self._outbox.deliver(told, first.once("told"), partial(self._note_told, team, conversation))

    def _note_told(self, team: Team, conversation: Conversation) -> None:
        if self.of(team, conversation.customer) is conversation:
            self._store.keep(conversation.saved)

    # --- sending ---

    def _send_waiting(self, team: Team, conversation: Conversation, sub: Sub) -> None:
        while conversation.waiting and sub.jid not in conversation.waiting[0].tried:
            delivery = conversation.waiting[0]
            try:
                if not self._send(team, conversation, delivery, sub):
                    return
            except TooLarge as error:
                self._return([delivery], "resource-constraint", str(error))
            conversation.waiting.pop(0)
        if conversation.told:
            conversation.told = False
            self._store.keep(conversation.saved)

    def _send(self, team: Team, conversation: Conversation, delivery: Delivery, sub: Sub) -> bool:
        name = self._profiles.of(conversation.customer).name(conversation.customer) if delivery.says else ""
        stanza = inward(delivery.queued.stanza, conversation.address, sub.jid, name, bare(sub.jid), self.ids.open)
        delivery.member, delivery.returned = sub.jid, False
        tries = delivery.tries

        def then(taken: bool) -> None:
            if not delivery.returned and delivery.tries == tries:
                self._sent_or_not(team, conversation, delivery, taken)

        if not self._outbox.send(stanza, delivery.queued.once(f"{tries}"), then):
            return False
        delivery.queued.stanza.set("id", stanza.get("id", ""))
        self._sent.add(conversation.address, delivery)
        if delivery.says:
            self._store.touch(conversation.record, delivery.queued.at)
            self._records.setdefault((team.node, conversation.customer), {})[sub.jid] = delivery.queued.at
            self._expect_answer(team, conversation, delivery)
        return True

    def _sent_or_not(self, team: Team, conversation: Conversation, delivery: Delivery, taken: bool) -> None:
        if taken:
            self._hold(team, conversation, delivery)
        else:
            self._take_back(team, conversation.customer, delivery)

    def _hold(self, team: Team, conversation: Conversation, delivery: Delivery) -> None:
        """The server has it. It leaves the queue, unless it may still come back or go on to somebody else."""
        unanswered = delivery in conversation.unanswered
        remote = not self._is_local(delivery.member)
        if delivery.says and delivery.stored is not None and (unanswered or remote):
            conversation.held[delivery.queued.id] = delivery
            self._note(delivery, Sent(delivery.member, delivery.tries))
            if remote:
                until = self._clock.now() + REMOTE_PATIENCE
                self._clock.alarm(_held_alarm(conversation), until, lambda: self.release(conversation))
        else:
            self._deal(delivery)

    def _deal(self, delivery: Delivery) -> None:
        """It leaves the queue."""
        if delivery.stored is not None:
            if delivery.noted:
                self._store.sent(delivery.stored, None)
            self._outbox.dealt(delivery.stored)
            self._kept -= 1
            delivery.stored = None

    def _note(self, delivery: Delivery, sent: Sent) -> None:
        if delivery.stored is not None:
            self._store.sent(delivery.stored, sent)
            delivery.noted = True

    def _count_try(self, delivery: Delivery) -> None:
        """It goes on to somebody else: under another `once`, also after a crash."""
        delivery.tries += 1
        self._note(delivery, Sent("", delivery.tries))

    def _take_back(self, team: Team, customer: str, delivery: Delivery) -> Conversation | None:
        """What was sent waits again, in its order; None: it is not worth it. Its conversation may have ended since."""
        delivery.returned = True
        conversation = self.of(team, customer)
        if conversation is not None:
            conversation.held.pop(delivery.queued.id, None)
            if delivery in conversation.unanswered:
                conversation.unanswered.remove(delivery)
        if not delivery.says or self._teams.get(team.node) is not team:
            self._deal(delivery)
            return None
        if conversation is None:
            conversation = self._begin(team, customer, delivery.queued.at)
        insort(conversation.waiting, delivery)
        return conversation

    def _return(self, deliveries: Sequence[Delivery], condition: str, text: str = "") -> None:
        """These go back to the customer."""
        for delivery in deliveries:
            if delivery.says:
                error = error_reply(delivery.queued.stanza, condition, text=text or None)
                self._outbox.deliver(error, delivery.queued.once("returned"), partial(self._deal, delivery))
            else:
                self._deal(delivery)

    def _drop(self, conversation: Conversation) -> None:
        for delivery in conversation.waiting:
            self._deal(delivery)
        conversation.waiting.clear()

    # --- answers in time ---

    def _expect_answer(self, team: Team, conversation: Conversation, delivery: Delivery) -> None:
        within = team.settings.answer_within
        if within is None:
            return
        if not conversation.unanswered:
            until = self._clock.now() + within
            self._clock.alarm(_answer_alarm(conversation), until, lambda: self._unanswered(conversation))
        if delivery not in conversation.unanswered:
            insort(conversation.unanswered, delivery)

    def _unanswered(self, conversation: Conversation) -> None:
        """Nobody answered in time: the customer goes to the next, with what was not answered."""
        team = self._teams[conversation.node]
        if not conversation.unanswered:
            return
        if (sub := team.subs.get(conversation.member or "")) is not None:
            conversation.passed_by.add(sub.jid)
            sub.missed += 1
            if team.settings.auto_pause and sub.missed >= team.settings.auto_pause and sub.paused is Paused.NO:
                self.on_paused(team, sub)
        choice = self.ask(team, conversation.customer, conversation.unanswered[0], conversation.passed_by)
        if choice.member is None:  # the round is over: what comes next begins another
            conversation.passed_by.clear()
            conversation.unanswered.clear()
            self.release(conversation)
            return
        for delivery in list(conversation.unanswered):
            delivery.tried |= conversation.passed_by
            self._count_try(delivery)
            self._take_back(team, conversation.customer, delivery)
        self.give(team, conversation, choice.member, choice.policy, choice.considered)

    # --- bookkeeping ---

    def _can_follow(self, team: Team, conversation: Conversation, stanza: Element) -> bool:
        """Whether a receipt, marker or the like goes the way of the messages before it; a chat state only at once."""
        stays = self._standing(team, conversation).step
        if is_passing(stanza):
            return self.live and stays is Step.KEEP and not conversation.waiting and not conversation.busy
        return bool(conversation.waiting) or stays is not Step.CHOOSE

    def _begin(self, team: Team, customer: str, at: float) -> Conversation:
        self._conversation_id += 1
        conversation = self._add(team, customer, self._conversation_id, at, at)
        self._store.keep(conversation.saved)
        return conversation

    def _add(self, team: Team, customer: str, number: int, opened_at: float, last_at: float) -> Conversation:
        conversation = Conversation(number, team.node, customer, self.address(team, customer), opened_at, last_at)
        mine = self._open.setdefault(team.node, OrderedDict())
        mine[customer] = conversation
        if len(mine) == 1:
            self._watch_age(team)
        return conversation

    def _heard(self, team: Team, conversation: Conversation, at: float) -> None:
        conversation.last_at = max(conversation.last_at, at)
        self._open[team.node].move_to_end(conversation.customer)
        self._store.keep(conversation.saved)
        sub = team.subs.get(conversation.member or "")
        if sub is not None:
            sub.active_at = max(sub.active_at, at)
            sub.changed()

    def _is_over(self, team: Team, conversation: Conversation) -> bool:
        return not conversation.waiting and not is_valid(conversation.last_at, team.settings.history_expiry, self._clock.now())

    def _watch_age(self, team: Team) -> None:
        """Set the alarm for the conversation that is over first."""
        oldest = next((one for one in self.of_team(team) if not one.waiting), None)
        at = None if oldest is None else oldest.last_at + team.settings.history_expiry
        self._clock.alarm(_age_alarm(team), at, lambda: self._age(team))

    def _age(self, team: Team) -> None:
        for conversation in self.of_team(team):
            if self._is_over(team, conversation):
                self.end(team, conversation)
            elif not conversation.waiting:
                break
        self._watch_age(team)

    def _count(self, team: Team, conversation: Conversation, member: str) -> None:
        sub = team.subs[member]
        sub.customers.add(conversation.customer)
        sub.changed()

    def _uncount(self, team: Team, conversation: Conversation) -> None:
        sub = team.subs.get(conversation.member or "")
        if sub is not None:
            sub.customers.discard(conversation.customer)
            sub.changed()

    def address(self, team: Team, customer: str) -> str:
        """The bare JID under which sub-users know the customer. Raises ValueError: none can stand for this one."""
        return f"{addresses.conversation(customer, team.node)}@{self._domain}"

    def _user(self, team: Team) -> str:
        return f"{team.node}@{self._domain}"

    def _run(self, conversation: Conversation, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the conversation's next message waits for."""
        conversation.busy += 1
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ran(conversation, done))

    def _ran(self, conversation: Conversation, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        conversation.busy -= 1
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            log.error("virtual.fault virtual=%s", conversation.node, exc_info=error)
        if conversation.node in self._teams:
            self._advance(conversation)


def line_of(queued: Queued, conversation: Conversation, author: str, text: str) -> Line:
    """A line to be kept, cut to `LONGEST_LINE`."""
    return Line(queued.id, conversation.id, queued.at, author, text if len(text) <= LONGEST_LINE else f"{text[:LONGEST_LINE]}…")


def is_local_to(hosts: Iterable[str]) -> Callable[[str], bool]:
    served = frozenset(hosts)
    return lambda jid: split(jid)[1] in served


def _grace_alarm(conversation: Conversation) -> str:
    return f"virtual.grace {conversation.id}"


def _answer_alarm(conversation: Conversation) -> str:
    return f"virtual.answer {conversation.id}"


def _held_alarm(conversation: Conversation) -> str:
    return f"virtual.held {conversation.id}"


def _age_alarm(team: Team) -> str:
    return f"virtual.age {team.node}"


def _nothing() -> None:
    """For an alarm that is taken back."""
