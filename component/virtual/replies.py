"""Sub-users' messages on their way to customers, and their slash commands (spec/20-virtual.md, A message from a sub-user)."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from xml.etree.ElementTree import Element

from component.commands.model import Refused
from component.ports import Clock, Queued, Server, StanzaError
from component.rules.routing import Choice
from component.rules.slash import USAGE, Order, Unknown, Word, read
from component.virtual.conversations import Conversations, line_of
from component.virtual.deliveries import Conversation
from component.virtual.model import CUSTOMER, NOTE, RESOURCE, Line, Paused, Record
from component.virtual.outbox import Outbox, TooLarge
from component.virtual.profiles import Profiles
from component.virtual.relay import Disguise, counts, error_inward, outward, text_of
from component.virtual.store import Store
from component.virtual.team import Sub, Team
from stanzas.build import error_reply, message, presence
from stanzas.vcards import Card, nick_event

_REASONS = {
    "offline": "not available",
    "paused": "paused",
    "full": "at capacity",
    "tried": "had this message before",
    "jid": "equal in all else, and later by JID",
}


class CannotTransfer(Exception):
    """Why not, in a plain sentence."""


class Replies:
    def __init__(
        self,
        domain: str,
        conversations: Conversations,
        server: Server,
        store: Store,
        outbox: Outbox,
        clock: Clock,
        profiles: Profiles,
        unpause: Callable[[Team, Sub], None],
    ) -> None:
        self._domain, self._conversations = domain, conversations
        self._server, self._store, self._outbox, self._clock = server, store, outbox, clock
        self._profiles, self._unpause = profiles, unpause
        self._unsent: list[tuple[Element, Queued]] = []
        """For customers, while the stream is down."""

    def came_live(self) -> None:
        """The stream is back: what could not be sent goes first."""
        unsent, self._unsent = self._unsent, []
        for stanza, queued in unsent:
            try:
                self._to_customer(stanza, queued)
            except TooLarge as error:
                refusal = error_reply(queued.stanza, "resource-constraint", text=str(error))
                self._outbox.deliver(refusal, queued.once("refused"), partial(self._outbox.dealt, queued.id))

    # --- messages ---

    async def take(self, team: Team, customer: str, queued: Queued) -> bool:
        """A message to a conversation address. True: it is dealt with. Raises Refused: the sender has no business there."""
        stanza = queued.stanza
        sender = stanza.get("from", "")
        sub = team.of(sender)
        if sub is None:
            raise Refused
        conversation = self._conversations.of(team, customer)
        self.heard(team, sub, stanza)
        meaning = read(text_of(stanza))
        if isinstance(meaning, Order):
            self._say(team, conversation, customer, sender, await self._obey(team, customer, sub, meaning, queued), queued.once("answer"))
            return True
        if isinstance(meaning, Unknown):
            hint = f" Did you mean /{meaning.nearest}?" if meaning.nearest else ""
            text = f"There is no command /{meaning.word}.{hint} /help lists them; begin with // to send a slash."
            self._say(team, conversation, customer, sender, text, queued.once("answer"))
            return True
        says = counts(stanza)
        if says:
            conversation = self._take_over(team, customer, conversation, sub, queued)
        elif conversation is None or conversation.member != sub.jid:
            return True  # a receipt or chat state of somebody who has the conversation no more
        disguise = Disguise(
            self._user(team), customer, conversation.address, self._conversations.ids.seal, frozenset(conversation.their_ids)
        )
        try:
            self._to_customer(outward(stanza, disguise, meaning.text if meaning.text != text_of(stanza) else None), queued)
        except TooLarge as error:
            raise StanzaError("resource-constraint", str(error)) from None
        if says:
            if meaning.text:
                self._store.line(line_of(queued, conversation, sub.jid, meaning.text))
            self._conversations.answered(team, conversation, queued.at)
        else:
            self._conversations.release(conversation)
        return False

    def heard(self, team: Team, sub: Sub, stanza: Element) -> None:
        """A sub-user wrote: they are there. What clients send by themselves (receipts, say) is no message of theirs."""
        if not counts(stanza):
            return
        sub.missed = 0
        if sub.paused is Paused.UNANSWERED:
            self._unpause(team, sub)

    def _take_over(self, team: Team, customer: str, conversation: Conversation | None, sub: Sub, queued: Queued) -> Conversation:
        """Make the sub-user's message one of the conversation's own: all see a line if it was another's."""
        if conversation is None:
            conversation = self._conversations.begin(team, customer)
        before = conversation.member
        if before == sub.jid:
            return conversation
        self._conversations.give(team, conversation, sub.jid, "take-over", {})
        if before is not None:
            taken = f"{sub.profile.name} ({sub.jid}) has taken over this conversation from {self._member_name(team, before)}."
            self._say(team, conversation, customer, before, taken, queued.once("over-1"))
            self._say(team, conversation, customer, sub.jid, taken, queued.once("over-2"))
            told = message(self._user(team), customer, f"You are now talking with somebody else of {team.settings.name}.")
            self._server.send(told, queued.once("over-3"))
        return conversation

    def error(self, team: Team, customer: str, error: Element) -> None:
        """A customer's server returned a sub-user's message: the sub-user is told."""
        conversation = self._conversations.of(team, customer)
        if conversation is not None and conversation.member is not None:
            self._server.send(error_inward(error, conversation.address, conversation.member, self._conversations.ids.open))

    def _to_customer(self, stanza: Element, queued: Queued) -> None:
        """Raises TooLarge."""

        def then(taken: bool) -> None:
            if taken:
                self._outbox.dealt(queued.id)
            else:
                self._unsent.append((stanza, queued))

        if self._unsent or not self._outbox.send(stanza, queued.once("out"), then):
            self._unsent.append((stanza, queued))

    # --- who gets a conversation ---

    async def introduce(self, team: Team, conversation: Conversation, before: str | None, record: Record) -> None:
        """Tell a sub-user whose conversation is theirs now: the customer's name, and the last lines if it was another's."""
        member = record.member
        self._appear(conversation, member)
        self.name(team, conversation, member)
        if before is None or before == member:
            return
        lines = await self._store.lines(conversation.id)
        waiting = {delivery.queued.id for delivery in conversation.waiting}
        told = [self._line(team, conversation.customer, line) for line in lines if line.id not in waiting]
        if told:
            head = f"{self._member_name(team, before)} had this conversation. Its last lines (times are UTC):"
            self._say(
                team,
                conversation,
                conversation.customer,
                member,
                "\n".join([head, *told]),
                f"record-{record.id}.{record.at:.6f}",
            )

    def back(self, team: Team, sub: Sub) -> None:
        """A sub-user was away: their clients know nothing more of the conversations that are still theirs."""
        for customer in sorted(sub.customers):
            if (conversation := self._conversations.of(team, customer)) is not None:
                self._appear(conversation, sub.jid)

    def _appear(self, conversation: Conversation, member: str) -> None:
        self._server.send(presence(f"{conversation.address}/{RESOURCE}", member))

    def name(self, team: Team, conversation: Conversation, member: str) -> None:
        """Tell a sub-user's clients the customer's name (Gajim takes it from this event, and from nothing else)."""
        name = self._profiles.of(conversation.customer).name(conversation.customer)
        self._server.send(message(conversation.address, member, None, nick_event(Card(nickname=name)), kind="headline"))

    def ended(self, conversation: Conversation, member: str) -> None:
        """The conversation is this member's no more."""
        self._server.send(presence(f"{conversation.address}/{RESOURCE}", member, kind="unavailable"))

    def _line(self, team: Team, customer: str, line: Line) -> str:
        at = datetime.fromtimestamp(line.at, UTC).strftime("%H:%M")
        if line.author == CUSTOMER:
            author = self._profiles.of(customer).name(customer)
        elif line.author == NOTE:
            author = "note"
        else:
            author = self._member_name(team, line.author)
        return f"[{at}] {author}: {line.text}"

    # --- slash commands ---

    async def _obey(self, team: Team, customer: str, sub: Sub, order: Order, queued: Queued) -> str:
        conversation = self._conversations.of(team, customer)
        match order.word:
            case Word.TRANSFER:
                return await self._transfer(team, customer, conversation, order.rest)
            case Word.CLOSE:
                if conversation is None:
                    return "This conversation is not open."
                self._conversations.end(team, conversation)
                return "Closed. The customer's next message begins a new conversation."
            case Word.WHO:
                return self._who(team, customer, conversation)
            case Word.WHY:
                return await self._why(team, customer)
            case Word.NOTE:
                if not order.rest:
                    return f"Write it like {USAGE[Word.NOTE][0]}."
                if conversation is None:
                    return "This conversation is not open: there is nobody to keep a note for."
                self._store.line(line_of(queued, conversation, NOTE, f"{order.rest} ({sub.profile.name})"))
                return "Noted, for whoever gets this conversation. The customer does not see it."
            case Word.HELP:
                return "\n".join(f"{usage}: {does}" for usage, does in USAGE.values()) + "\n//…: sends a line that begins with a slash"

    async def _transfer(self, team: Team, customer: str, conversation: Conversation | None, name: str) -> str:
        if not name:
            return f"Write it like {USAGE[Word.TRANSFER][0]}. {self._there(team, conversation)}"
        if conversation is None:
            return "This conversation is not open."
        try:
            sub = await self.transfer(team, conversation, name)
        except CannotTransfer as reason:
            return str(reason)
        return f"Handed to {sub.profile.name} ({sub.jid})."

    async def transfer(self, team: Team, conversation: Conversation, name: str, by: str = "transfer") -> Sub:
        """Hand a conversation to the member of this JID, local part or name. Raises CannotTransfer."""
        found = await self._find(team, name)
        there = self._there(team, conversation)
        if not found:
            raise CannotTransfer(f"Nobody of {team.settings.name} is called {name}. {there}")
        if len(found) > 1:
            raise CannotTransfer(f"{name} may be {' or '.join(sub.jid for sub in found)}: say which.")
        sub = found[0]
        member = sub.member
        if sub.jid == conversation.member:
            raise CannotTransfer(f"{sub.profile.name} ({sub.jid}) has this conversation already.")
        if not member.available:
            raise CannotTransfer(f"{sub.profile.name} ({sub.jid}) is not available. {there}")
        if member.paused:
            raise CannotTransfer(f"{sub.profile.name} ({sub.jid}) takes no new conversation now. {there}")
        if member.load >= member.capacity:
            raise CannotTransfer(f"{sub.profile.name} ({sub.jid}) has {member.load} conversations, and room for no more. {there}")
        if self._conversations.of(team, conversation.customer) is not conversation:
            raise CannotTransfer("This conversation is not open any more.")
        self._conversations.give(team, conversation, sub.jid, by, {})
        return sub

    async def _find(self, team: Team, name: str) -> Sequence[Sub]:
        """Whom of the team a name means: a JID before a local part, resource or name, and those before what vCards say."""
        wanted = name.strip().casefold()
        subs = sorted(team.subs.values(), key=lambda sub: sub.jid)
        ways: Sequence[Callable[[Sub], Sequence[str]]] = (
            lambda sub: [sub.jid],
            lambda sub: [sub.jid.partition("/")[0]],
            lambda sub: [sub.jid.partition("@")[0], sub.jid.partition("/")[2], sub.profile.name],
            lambda sub: [self._profiles.of(sub.jid.partition("/")[0]).name(sub.jid)],
        )
        for way in ways:
            if way is ways[-1]:
                unknown = [account for account in team.accounts if not self._profiles.is_known(account)]
                await asyncio.gather(*(self._profiles.ask(account, self._user(team), ()) for account in unknown))
            found = [sub for sub in subs if wanted in {text.casefold() for text in way(sub)}]
            if found:
                return found
        return ()

    def _there(self, team: Team, conversation: Conversation | None) -> str:
        current = conversation.member if conversation else None
        there = [f"{sub.profile.name} ({sub.jid})" for sub in team.there() if sub.jid != current]
        return f"There are: {', '.join(there)}." if there else "Nobody else is there."

    def _who(self, team: Team, customer: str, conversation: Conversation | None) -> str:
        current = conversation.member if conversation else None
        has = f"{self._member_name(team, current)} has" if current else "Nobody has"
        rows = [f"{has} this conversation with {self._profiles.of(customer).name(customer)} ({customer})."]
        for sub in sorted(team.subs.values(), key=lambda one: one.jid):
            state = "available" if sub.available else "not available"
            paused = ", paused" if sub.paused is not Paused.NO else ""
            rows.append(f"{sub.profile.name} ({sub.jid}): {state}{paused}, {len(sub.customers)} of {sub.profile.capacity} conversations")
        return "\n".join(rows)

    async def _why(self, team: Team, customer: str) -> str:
        record = await self._store.latest(team.node, customer)
        if record is None:
            return "There is no record of this customer."
        return explain(team, Choice(record.member, record.policy, record.considered), record.at)

    # --- lines of the conversation address ---

    def _say(self, team: Team, conversation: Conversation | None, customer: str, to: str, text: str, once: str) -> None:
        address = conversation.address if conversation else self._address(team, customer)
        self._server.send(message(address, to, text), once)

    def _member_name(self, team: Team, jid: str) -> str:
        sub = team.subs.get(jid)
        return f"{sub.profile.name} ({jid})" if sub else jid

    def _address(self, team: Team, customer: str) -> str:
        return self._conversations.address(team, customer)

    def _user(self, team: Team) -> str:
        return f"{team.node}@{self._domain}"


def explain(team: Team, choice: Choice, at: float | None = None) -> str:
    """Who got a conversation, by which policy, and why nobody else, in plain lines."""
    when = f" at {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""
    if choice.member is None:
        first = "Nobody can take it."
    else:
        first = f"{choice.member} was chosen by {choice.policy}{when}." if at is not None else f"{choice.member}, by {choice.policy}."
    return "\n".join([first, *(f"Not {jid}: {reason(why)}" for jid, why in sorted(choice.considered.items()))])


def reason(why_not: str) -> str:
    """Why somebody was not chosen, in words."""
    return _REASONS.get(why_not, f"{why_not} preferred another")
