"""What a stanza that passed says: which facts it makes, and which accounts are of the same message (spec/00-overview.md)."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from component.rules.facts import ArchiveId, Fact, Kind, Message, Read

LATE = 60.0
"""Seconds by which a delay stamp may be older than the arrival; one that is older tells of a message that came before."""
NEAR = 10.0
"""Seconds by which the instants of one message may differ between the link and an archive, or two archives."""


@dataclass(frozen=True, slots=True)
class Delay:
    """A `<delay/>` (XEP-0203) or legacy `<x xmlns='jabber:x:delay'/>` (XEP-0091): its `stamp` and `from` as they came."""

    stamp: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Tapped:
    """A reduced message of the link (docs/link.md, 3): what its elements tell. `sender` and `recipient` are bare JIDs.

    `at`: the instant of its arrival at the server, UNIX seconds.
    """

    sender: str
    recipient: str
    at: float
    id: str = ""
    type: str = "normal"
    body: bool = False
    """A `<body/>` with text."""
    encryption: bool = False
    """An `<encryption/>` (XEP-0380)."""
    omemo: bool | None = None
    """Whether its OMEMO `<encrypted/>` has a payload; None: there is none."""
    delays: tuple[Delay, ...] = ()
    replaces: str = ""
    """The id that an XEP-0308 `<replace/>` names."""
    retracts: bool = False
    """An XEP-0424 retraction, in whatever form."""
    displayed: str = ""
    """The id that an XEP-0333 `<displayed/>` names."""
    carbon: bool = False
    mam: bool = False
    archives: tuple[ArchiveId, ...] = ()
    """Its XEP-0359 stanza-ids."""
    attention: bool = False
    reply: bool = False
    """An XEP-0461 `<reply/>`."""
    reply_to: str = ""
    """The bare JID that `<reply/>` names as the author of what is replied to; empty: none."""
    invite: bool = False
    """A direct invitation (XEP-0249)."""
    file: bool = False
    """A link to a file (XEP-0066, XEP-0447)."""


def facts_of(tapped: Tapped, served: Collection[str]) -> tuple[Fact, ...]:
    """The facts of a message that passed: the message if it counts as one, and what its marker says was read.

    `served`: the served hosts; only their delay stamps and stanza-ids are believed.
    """
    if tapped.type in ("error", "groupchat", "headline") or tapped.carbon or tapped.mam or tapped.sender == tapped.recipient:
        return ()
    facts: list[Fact] = []
    if counts(tapped):
        facts.append(
            Message(
                sender=tapped.sender,
                recipient=tapped.recipient,
                at=_instant(tapped, served),
                id=tapped.id,
                archive=_archive(tapped, served),
                kind=_kind(tapped),
                correction=bool(tapped.replaces),
            )
        )
    if tapped.displayed:
        facts.append(Read(tapped.sender, tapped.recipient, tapped.at, tapped.displayed))
    return tuple(facts)


def counts(tapped: Tapped) -> bool:
    """Whether its content makes it a message, whatever its type: one of now, that takes nothing back."""
    if tapped.retracts or any(tapped.at - stamp > LATE for stamp, _ in _stamps(tapped)):
        return False
    # An OMEMO header without a payload only moves keys, though clients announce it by <encryption/> too.
    encrypted = tapped.encryption if tapped.omemo is None else tapped.omemo
    return tapped.body or encrypted


def _stamps(tapped: Tapped) -> Iterable[tuple[float, str]]:
    """Its delay stamps that can be read and are not of the future, and by whom."""
    for delay in tapped.delays:
        stamp = instant(delay.stamp)
        if stamp is not None and stamp <= tapped.at:
            yield stamp, delay.by


def _instant(tapped: Tapped, served: Collection[str]) -> float:
    return min((stamp for stamp, by in _stamps(tapped) if by in served), default=tapped.at)


def _archive(tapped: Tapped, served: Collection[str]) -> ArchiveId | None:
    """The tap is of the recipient's host if that is ours (docs/link.md, 3): only its archive's id is not the sender's own invention."""
    local = tapped.recipient.rpartition("@")[2] in served
    owner = tapped.recipient if local else tapped.sender
    return next((archive for archive in tapped.archives if archive.by == owner and archive.id), None)


def _kind(tapped: Tapped) -> Kind:
    if tapped.attention:
        return Kind.ATTENTION
    if tapped.reply and tapped.reply_to in ("", tapped.recipient):
        return Kind.REPLY
    if tapped.invite:
        return Kind.INVITE
    return Kind.FILE if tapped.file else Kind.DIRECT


_XEP_0082 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?P<fraction>\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
_XEP_0091 = re.compile(r"[0-9]{8}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(stamp: str) -> float | None:
    """The UNIX seconds of an XEP-0082 DateTime, or of XEP-0091's `CCYYMMDDThh:mm:ss`, which is UTC; None: it can't be read."""
    fraction = ""
    if match := _XEP_0082.fullmatch(stamp):
        fraction = match["fraction"] or ""  # of any length, unlike what datetime reads
    elif not _XEP_0091.fullmatch(stamp):
        return None
    try:
        whole = datetime.fromisoformat(stamp.replace(fraction, "", 1) if fraction else stamp)
    except ValueError:  # a day or hour that there is not
        return None
    return (whole.replace(tzinfo=whole.tzinfo or UTC) - _EPOCH).total_seconds() + float(fraction or 0)


# --- The same message by several ways ---


@dataclass(frozen=True, slots=True)
class Held:
    """A message of the ledger as far as it takes to tell whether another account is of the same message.

    It can be told of three times: by the link, by its sender's archive, by its recipient's.
    """

    message: Message
    """With the id in one archive at most; `archives` has both."""
    tapped: bool
    archives: Mapping[str, str]
    """Its archive ids, by whose archive."""
    ref: int = 0
    """The ledger's own number of it."""

    @classmethod
    def of(cls, message: Message, tapped: bool) -> "Held":
        archive = message.archive
        return cls(message, tapped, {archive.by: archive.id} if archive else {})


@dataclass(frozen=True, slots=True)
class Matching:
    """Which of the accounts that arrive are `new`, and which `settled` ones add to what is held; the others were told before."""

    new: Sequence[int]
    settled: Mapping[int, Held]


def match(arriving: Sequence[Message], held: Sequence[Held], tapped: bool) -> Matching:
    """Tell new messages from other accounts of those that are held, one to one.

    An account is of a held message if it has the same archive id, else if sender, recipient, id (an empty one too) and correction are the
    same, the instants are within `NEAR`, and the held one was not told of in this way yet: as many as possible, then the nearest in time.

    Args:
        arriving: accounts of different messages, all `tapped` or all from one archive, whose id they carry.
        held: every message that one of them could be of.
    """
    by_archive = {(by, each, one.message.sender, one.message.recipient): one for one in held for by, each in one.archives.items()}
    settled: dict[int, Held] = {}
    unknown: list[int] = []
    seen: set[ArchiveId] = set()
    for index, message in enumerate(arriving):
        archive = message.archive
        if archive is not None:
            if archive in seen:
                continue
            seen.add(archive)
            known = by_archive.get((archive.by, archive.id, message.sender, message.recipient))
            if known is not None:
                if tapped and not known.tapped:
                    settled[index] = known
                continue
        unknown.append(index)
    if not held:
        return Matching(unknown, settled)
    taken = {one.ref for one in settled.values()}
    free: dict[tuple[str, str, str, bool], list[Held]] = defaultdict(list)
    for one in held:
        if one.ref not in taken and not (tapped and one.tapped):
            free[_likeness(one.message)].append(one)
    alike: dict[tuple[str, str, str, bool], list[int]] = defaultdict(list)
    for index in unknown:
        alike[_likeness(arriving[index])].append(index)
    for likeness, indices in alike.items():
        settled.update(_assign(arriving, indices, free.get(likeness, ())))
    return Matching([index for index in unknown if index not in settled], settled)


def merge(held: Held, message: Message, tapped: bool) -> Held:
    """A held message after another account of it. Its instant is the link's, else the earlier of the archives', whatever came first."""
    told = held.message.at if held.tapped else min(held.message.at, message.at)
    at = message.at if tapped else told
    archives = dict(held.archives)
    if message.archive is not None:
        archives[message.archive.by] = message.archive.id
    return replace(held, message=replace(held.message, at=at), tapped=held.tapped or tapped, archives=archives)


def _likeness(message: Message) -> tuple[str, str, str, bool]:
    return message.sender, message.recipient, message.id, message.correction


def _assign(arriving: Sequence[Message], indices: Sequence[int], free: Sequence[Held]) -> Iterable[tuple[int, Held]]:
    """Pair accounts with held messages: the most pairs, then the least distance in time."""
    if not free:
        return
    at = {index: arriving[index].at for index in indices}
    # On a line, pairs that don't cross are as good as any; and those further apart than NEAR from their neighbours can be seen to alone.
    events = sorted([(at[index], True, index) for index in indices] + [(one.message.at, False, k) for k, one in enumerate(free)])
    start = 0
    for end in range(1, len(events) + 1):
        if end == len(events) or events[end][0] - events[end - 1][0] > NEAR:
            cluster = events[start:end]
            accounts = [index for _, is_account, index in cluster if is_account]
            yield from _assign_cluster(arriving, accounts, [free[k] for _, is_account, k in cluster if not is_account])
            start = end


def _assign_cluster(arriving: Sequence[Message], accounts: Sequence[int], free: Sequence[Held]) -> Iterable[tuple[int, Held]]:
    """Both in the order of their instants. `best[i][j]`: (pairs missed, distance) of the first `i` accounts and `j` held ones."""
    best = [[(0, 0.0)] * (len(free) + 1)]
    for i, index in enumerate(accounts):
        row = [(i + 1, 0.0)]
        for j, one in enumerate(free):
            missed, distance = best[i][j + 1]
            options = [(missed + 1, distance), row[j]]
            if _can_be(arriving[index], one):
                missed, distance = best[i][j]
                options.append((missed, distance + abs(arriving[index].at - one.message.at)))
            row.append(min(options))
        best.append(row)
    i, j = len(accounts), len(free)
    while i and j:
        if best[i][j] == best[i][j - 1]:
            j -= 1
        elif best[i][j] == (best[i - 1][j][0] + 1, best[i - 1][j][1]):
            i -= 1
        else:
            i, j = i - 1, j - 1
            yield accounts[i], free[j]


def _can_be(message: Message, held: Held) -> bool:
    return abs(message.at - held.message.at) <= NEAR and (message.archive is None or message.archive.by not in held.archives)
