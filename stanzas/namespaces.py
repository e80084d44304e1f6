"""XML namespaces, by the names that the code calls them."""

COMPONENT = "jabber:component:accept"
"""XEP-0114: of every stanza on the component's stream."""
CLIENT = "jabber:client"
"""RFC 6120: of stanzas that are carried inside others."""
STANZA_ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"
XML = "http://www.w3.org/XML/1998/namespace"
"""Of `xml:lang`."""

ADHOC = "http://jabber.org/protocol/commands"
"""XEP-0050"""
DATA_FORM = "jabber:x:data"
"""XEP-0004"""
DISCO_INFO = "http://jabber.org/protocol/disco#info"
"""XEP-0030"""
DISCO_ITEMS = "http://jabber.org/protocol/disco#items"
"""XEP-0030"""
DELAY = "urn:xmpp:delay"
"""XEP-0203"""
LEGACY_DELAY = "jabber:x:delay"
"""XEP-0091"""
CHAT_STATES = "http://jabber.org/protocol/chatstates"
"""XEP-0085"""
HINTS = "urn:xmpp:hints"
"""XEP-0334"""

LINK = "urn:x-rapport:link:0"
"""docs/link.md"""


def qualified(namespace: str, name: str) -> str:
    """The tag of an element as `xml.etree` writes it."""
    return f"{{{namespace}}}{name}"
