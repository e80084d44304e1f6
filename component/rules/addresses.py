"""The addresses at the component's domain (spec/00-overview.md, Addresses), and XEP-0106, of which they are made.

Local parts are as the server normalised them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

OWN_NODE = "rapport"
"""Converse.js can't chat with a bare domain."""
LONGEST = 1023
"""Bytes in a local part (RFC 7622, 3.3)."""

_ESCAPED = {" ": "20", '"': "22", "&": "26", "'": "27", "/": "2f", ":": "3a", "<": "3c", ">": "3e", "@": "40", "\\": "5c"}
_CHARACTER = {code: character for character, code in _ESCAPED.items()}
_CODES = "|".join(_CHARACTER)
# A backslash is escaped only where it would be read as the start of a code (XEP-0106, 4.2); in capitals it becomes one by case folding.
_TO_ESCAPE = re.compile(rf"""[ "&'/:<>@]|\\(?=(?i:{_CODES}))""")
# A space can't have been at either end of what was escaped (XEP-0106, 4.2), so that a \20 there is none.
_TO_UNESCAPE = re.compile(rf"(?<!^)\\(20)(?!\Z)|\\({_CODES.removeprefix('20|')})")
_FORBIDDEN = frozenset(_ESCAPED) - {"\\"}
"""What no local part holds (RFC 7622, 3.3.1)."""
_FORBIDDEN_IN_DOMAIN = (_FORBIDDEN | {"%", "\\"}) - {":"}
"""Of that and what stands in our addresses: neither DNS names nor IP addresses hold it."""


@dataclass(frozen=True, slots=True)
class Own:
    """Rapport itself: the bare domain, or the node `rapport`."""


@dataclass(frozen=True, slots=True)
class Virtual:
    """A virtual user (S3)."""

    node: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A customer's conversation with a virtual user, as sub-users see it (S3). `customer`: a bare JID."""

    customer: str
    node: str


@dataclass(frozen=True, slots=True)
class Face:
    """The public face of a user (S4). `owner`: a bare JID."""

    owner: str


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a web community (S2)."""

    uid: str
    community: str


Address = Own | Virtual | Conversation | Face | Member


def escape(text: str) -> str:
    """A text as (part of) a local part (XEP-0106, 3.2).

    Raises ValueError: it starts or ends with a space, which no local part can stand for.
    """
    if text != text.strip(" "):
        raise ValueError(f"{text!r} starts or ends with a space")
    return _TO_ESCAPE.sub(lambda match: "\\" + _ESCAPED[match[0]], text)


def unescape(local: str) -> str:
    """What an escaped text stands for (XEP-0106, 3.3)."""
    return _TO_UNESCAPE.sub(lambda match: _CHARACTER[match[1] or match[2]], local)


def conversation(customer: str, node: str) -> str:
    """The local part of the conversation of a customer (bare JID) with a virtual user. Raises ValueError: it would be too long."""
    return _checked(f"{escape(customer)}%{node}")


def face(owner: str) -> str:
    """The local part of a user's (bare JID) public face. Raises as `conversation`."""
    return _checked(escape(owner))


def member(uid: str, community: str) -> str:
    """The local part of a community's member. Raises as `conversation`, and as `escape`."""
    return _checked(f"{escape(uid)}%{community}")


def parse(local: str, is_virtual: Callable[[str], bool], is_community: Callable[[str], bool] = lambda _name: False) -> Address | None:
    """What the local part stands for (empty: the bare domain), given what virtual users and communities there are; None: nobody.

    The name of a virtual user or community holds no `%`; what stands before the last one may.
    """
    if local in ("", OWN_NODE):
        return Own()
    if is_virtual(local):
        return Virtual(local)
    before, _, name = local.rpartition("%")
    if before and is_virtual(name):
        customer = _unescaped(before)
        return Conversation(customer, name) if customer and _is_bare(customer) else None
    if before and is_community(name):
        uid = _unescaped(before)
        return Member(uid, name) if uid else None
    owner = _unescaped(local)
    return Face(owner) if owner and "@" in owner and _is_bare(owner) else None


def owner_of(jid: str, domain: str) -> str | None:
    """Whose face a bare JID is, at the component's `domain`; None: it is no face."""
    local, _, host = jid.rpartition("@")
    # Virtual users and communities have no @ in their names: what is theirs is no face whatever there are.
    address = parse(local, lambda _name: False) if host == domain else None
    return address.owner if isinstance(address, Face) else None


def _unescaped(local: str) -> str | None:
    """What it stands for, if this is how that is escaped: nobody has two addresses."""
    text = unescape(local)
    try:
        return text if escape(text) == local else None
    except ValueError:
        return None


def _is_bare(jid: str) -> bool:
    local, at, domain = jid.rpartition("@")
    return bool(local) == bool(at) and _FORBIDDEN.isdisjoint(local) and bool(domain) and _FORBIDDEN_IN_DOMAIN.isdisjoint(domain)


def _checked(local: str) -> str:
    if len(local.encode()) > LONGEST:
        raise ValueError(f"an address of {len(local.encode())} bytes; {LONGEST} is the most")
    return local
