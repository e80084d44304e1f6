"""Elements of the component's stream: stanzas, results and errors. Texts are cleaned of what XML forbids, and escaped when written."""

from collections.abc import Mapping
from types import MappingProxyType
from uuid import uuid4
from xml.etree.ElementTree import Element

from stanzas.namespaces import COMPONENT, STANZA_ERRORS, qualified
from stanzas.text import clean

_NO_ATTRIBUTES: Mapping[str, str | None] = MappingProxyType({})

ERROR_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "bad-request": "modify",
        "conflict": "cancel",
        "feature-not-implemented": "cancel",
        "forbidden": "auth",
        "gone": "cancel",
        "internal-server-error": "cancel",
        "item-not-found": "cancel",
        "jid-malformed": "modify",
        "not-acceptable": "modify",
        "not-allowed": "cancel",
        "not-authorized": "auth",
        "policy-violation": "modify",
        "recipient-unavailable": "wait",
        "redirect": "modify",
        "registration-required": "auth",
        "remote-server-not-found": "cancel",
        "remote-server-timeout": "wait",
        "resource-constraint": "wait",
        "service-unavailable": "cancel",
        "subscription-required": "auth",
        "undefined-condition": "cancel",
        "unexpected-request": "wait",
    }
)
"""The conditions of RFC 6120, 8.3.3, and the error type that goes with each."""


def fresh_id() -> str:
    """An id that no other stanza has."""
    return uuid4().hex


def element(namespace: str, name: str, attributes: Mapping[str, str | None] = _NO_ATTRIBUTES, text: str | None = None) -> Element:
    """An element; attributes that are None are left out."""
    built = Element(qualified(namespace, name), {key: clean(value) for key, value in attributes.items() if value is not None})
    built.text = None if text is None else clean(text)
    return built


def message(
    sender: str, recipient: str, body: str | None, *children: Element, kind: str | None = "chat", stanza_id: str | None = None
) -> Element:
    """A message of type `kind` (None: normal) with a body, unless that is None; without `stanza_id` it gets a fresh one."""
    stanza = _stanza("message", {"from": sender, "to": recipient, "type": kind, "id": stanza_id or fresh_id()})
    if body is not None:
        stanza.append(element(COMPONENT, "body", text=body))
    stanza.extend(children)
    return stanza


def presence(sender: str, recipient: str, *children: Element, kind: str | None = None, show: str = "", status: str = "") -> Element:
    """A presence of type `kind` (None: available). `show` as in RFC 6121, 4.7.2.1; empty: online."""
    stanza = _stanza("presence", {"from": sender, "to": recipient, "type": kind})
    if show:
        stanza.append(element(COMPONENT, "show", text=show))
    if status:
        stanza.append(element(COMPONENT, "status", text=status))
    stanza.extend(children)
    return stanza


def iq(kind: str, sender: str, recipient: str, *children: Element, stanza_id: str | None = None) -> Element:
    """An IQ get, set or result; without `stanza_id` it gets a fresh one."""
    stanza = _stanza("iq", {"from": sender, "to": recipient, "type": kind, "id": stanza_id or fresh_id()})
    stanza.extend(children)
    return stanza


def result_reply(request: Element, *children: Element) -> Element:
    """The result of an IQ get or set."""
    reply = _reply(request, "result")
    reply.extend(children)
    return reply


def may_be_answered(stanza: Element) -> bool:
    """Whether an error may be sent back: never for an error, nor for the result of an IQ (RFC 6120, 8.2.3 and 8.3.1)."""
    return stanza.get("type") not in ("error", "result")


def error_reply(stanza: Element, condition: str, kind: str | None = None, text: str | None = None, app: Element | None = None) -> Element:
    """The error that answers `stanza` (RFC 6120, 8.3): its type is `kind`, or the usual one of the condition; `app` is a further condition.

    Raises ValueError for a stanza that must not be answered (`may_be_answered`), and for a condition that RFC 6120 does not have.
    """
    if not may_be_answered(stanza):
        raise ValueError(f"an error can't answer a stanza of type {stanza.get('type')}")
    if condition not in ERROR_TYPES:
        raise ValueError(f"{condition}: no condition of RFC 6120, 8.3.3")
    reply = _reply(stanza, "error")
    error = element(COMPONENT, "error", {"type": kind or ERROR_TYPES[condition]})
    error.append(element(STANZA_ERRORS, condition))
    if text:
        error.append(element(STANZA_ERRORS, "text", text=text))
    if app is not None:
        error.append(app)
    reply.append(error)
    return reply


def _reply(stanza: Element, kind: str) -> Element:
    name = stanza.tag.rpartition("}")[2]
    return _stanza(name, {"from": stanza.get("to"), "to": stanza.get("from"), "type": kind, "id": stanza.get("id")})


def _stanza(name: str, attributes: Mapping[str, str | None]) -> Element:
    return element(COMPONENT, name, attributes)
