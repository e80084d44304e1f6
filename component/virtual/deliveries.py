"""What a conversation holds of a customer's messages, and what was sent and may come back."""

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from component.ports import Queued
from component.virtual.store import SavedConversation
from stanzas.jid import bare

MOST_SENT = 10_000
"""Messages that are remembered after they were sent: an error that comes back for an older one moves nothing."""
MOST_SAME = 20
"""Of these, how many of one customer may have the same id."""
THEIR_IDS = 200
"""Ids of a customer's messages that are remembered, for replies and reactions to them."""


@dataclass(slots=True, eq=False)
class Delivery:
    """A customer's message on its way."""

    queued: Queued
    says: bool
    """Whether it counts as a message; the others (receipts, markers, reactions) open no conversation."""
    stored: int | None
    """Its number in the queue; None: it left the queue."""
    noted: bool = False
    """Whether the store knows how far it came (store.Sent)."""
    tries: int = 0
    """How often it came back, or went on because it was not answered."""
    tried: set[str] = field(default_factory=set)
    member: str = ""
    """Whom it went to last."""
    returned: bool = False
    """Whether it came back from there, or nobody knows."""

    def __lt__(self, other: "Delivery") -> bool:
        return self.queued.id < other.queued.id


@dataclass(slots=True, eq=False)
class Conversation:
    id: int
    node: str
    customer: str
    address: str
    """The bare JID under which sub-users know it."""
    opened_at: float
    last_at: float
    member: str | None = None
    left_by: str | None = None
    """Who had it and was removed, while nobody has it."""
    record: int = 0
    """Of the choice of this member; 0: none yet."""
    told: bool = False
    """Whether the customer was told that nobody is there, and still waits."""
    waiting: list[Delivery] = field(default_factory=list)
    """Oldest first."""
    held: dict[int, Delivery] = field(default_factory=dict)
    """Taken by the server, but kept in the queue: not answered yet, or a remote server may still return them."""
    unanswered: list[Delivery] = field(default_factory=list)
    """What was sent since the last answer, oldest first; only where `answer_within` is set."""
    passed_by: set[str] = field(default_factory=set)
    """Who let the unanswered go by."""
    asked: bool = False
    """Whether the customer was asked for what policies need, for the choice that is due: once, however long the answer takes."""
    their_ids: deque[str] = field(default_factory=lambda: deque(maxlen=THEIR_IDS))
    busy: int = 0
    """How many things must end before the next message may go."""

    @property
    def saved(self) -> SavedConversation:
        member = self.member or self.left_by
        return SavedConversation(self.id, self.node, self.customer, member, self.opened_at, self.last_at, self.told)


class SentMessages:
    """What was sent, by conversation address and message id; of one id the newest last, for a client may use it again."""

    def __init__(self) -> None:
        self._sent: OrderedDict[tuple[str, str], list[Delivery]] = OrderedDict()

    def add(self, address: str, delivery: Delivery) -> None:
        key = (address, delivery.queued.stanza.get("id", ""))
        sent = self._sent.setdefault(key, [])
        if delivery not in sent:
            sent.append(delivery)
            del sent[:-MOST_SAME]
        self._sent.move_to_end(key)
        if len(self._sent) > MOST_SENT:
            self._sent.popitem(last=False)

    def find(self, address: str, stanza_id: str, sender: str) -> Delivery | None:
        """The newest message of this id that went to this sender's side and did not come back yet."""
        sent = self._sent.get((address, stanza_id), ())
        return next((each for each in reversed(sent) if bare(each.member) == bare(sender) and not each.returned), None)

    def forget(self, address: str) -> None:
        """Forget what was sent in this conversation."""
        for key in [key for key in self._sent if key[0] == address]:
            del self._sent[key]
