"""JIDs (RFC 7622): strict for what people type, lenient for what the server says.

`parse`, `parse_bare`, `parse_local` and `parse_domain` take a person's text and raise ValueError with a reason in plain words.
`bare` and `split` take a JID that the server has normalised already. They never raise: Prosody lets JIDs pass that slixmpp refuses
(`room@muc.example/🙌`, `foo@bar.example:5222`), and one of those in a roster must not stop anything.
"""

import re

from slixmpp import JID, InvalidJID

# slixmpp checks labels less strictly than hosts are named: `x@y.co,` passes there.
_NOT_IN_A_DOMAIN = re.compile(r"[\x00-\x2c\x2f\x3b-\x40\x5c\x5e\x60\x7b-\x7f]")
_REASONS = {
    "localpart": "its local part holds a character that it can't",
    "domain": "its domain isn't one",
    "resource": "its resource holds a character that it can't",
}


def parse(text: str) -> str:
    """The normalised full, bare or domain JID that a person means by `text`: case and width folded, no final dot of the domain.

    Raises ValueError with the reason.
    """
    typed = text.strip()
    if not typed:
        raise ValueError("a JID is missing")
    try:
        jid = JID(typed)
    except InvalidJID as error:
        raise ValueError(f"{typed!r} is no JID: {_reason(typed, str(error))}") from None
    # RFC 7622, 3.2: the final dot is dropped, and U+3002 is a dot to IDNA.
    host = jid.domain.replace("\N{IDEOGRAPHIC FULL STOP}", ".").removesuffix(".")
    if not host:
        raise ValueError(f"{typed!r} is no JID: {_REASONS['domain']}")
    if odd := _NOT_IN_A_DOMAIN.search(host):
        raise ValueError(f"{typed!r} is no JID: its domain can't hold {odd.group()!r}")
    return (f"{jid.local}@" if jid.local else "") + host + (f"/{jid.resource}" if jid.resource else "")


def parse_bare(text: str) -> str:
    """The normalised bare JID (local part and domain) that a person means. Raises ValueError."""
    jid = parse(text)
    local, _domain, resource = split(jid)
    if resource:
        raise ValueError(f"{jid!r} has a resource: a bare JID is needed, like {bare(jid)!r}")
    if not local:
        raise ValueError(f"{jid!r} has no local part: a bare JID is needed, like {'user@' + jid!r}")
    return jid


def parse_domain(text: str) -> str:
    """The normalised domain that a person means. Raises ValueError, also for a JID with a local part or resource."""
    jid = parse(text)
    local, domain, resource = split(jid)
    if local or resource:
        raise ValueError(f"{jid!r} is more than a domain: {domain!r} is meant?")
    return domain


def parse_local(text: str) -> str:
    """The normalised local part that a person means (`Shop` → `shop`). Raises ValueError."""
    typed = text.strip()
    refusal = ValueError(f"{typed!r} can't be the local part of a JID")
    try:
        jid = JID(f"{typed}@localhost")
    except InvalidJID:
        raise refusal from None
    if jid.domain != "localhost" or jid.resource:
        raise refusal
    return jid.local


def bare(jid: str) -> str:
    """A JID of the server's without its resource. Never raises."""
    return jid.partition("/")[0]


def split(jid: str) -> tuple[str, str, str]:
    """Local part, domain and resource of a JID of the server's; empty where it has none. Never raises."""
    address, _, resource = jid.partition("/")
    local, at, domain = address.partition("@")
    return (local, domain, resource) if at else ("", address, resource)


def _reason(typed: str, error: str) -> str:
    if typed.count("@", 0, typed.find("/") if "/" in typed else None) > 1:
        return "it has more than one @"
    if typed.startswith("@"):
        return "nothing stands before its @"
    if typed.endswith("/"):
        return "nothing stands after its /"
    if "bytes" in error:
        return "a part of it is longer than 1,023 bytes"
    return next((reason for part, reason in _REASONS.items() if error.startswith(part)), error)
