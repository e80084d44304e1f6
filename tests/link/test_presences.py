"""A session's own presence, as the rules see it."""

from xml.etree.ElementTree import Element, fromstring

import pytest

from component.link.presences import own_of
from component.rules.presence import Show


def presence(inner: str, attributes: str = "") -> Element:
    return fromstring(f"<presence xmlns='jabber:client' {attributes}>{inner}</presence>")


@pytest.mark.parametrize(
    ("inner", "show", "priority"),
    [
        ("", Show.ONLINE, 0),
        ("<show>dnd</show>", Show.DND, 0),
        ("<show> xa </show><priority>-1</priority>", Show.XA, -1),
        ("<show>online</show>", Show.ONLINE, 0),
        ("<show>invisible</show><priority>many</priority>", Show.ONLINE, 0),
        ("<show>chat</show><priority>500</priority>", Show.CHAT, 127),
        ("<show>away</show><show>xa</show>", Show.AWAY, 0),
    ],
)
def test_show_and_priority_are_read_and_odd_ones_count_as_none(inner: str, show: Show, priority: int) -> None:
    own = own_of(presence(inner))
    assert (own.show, own.priority) == (show, priority)


def test_status_texts_keep_their_languages_and_order() -> None:
    own = own_of(presence("<status>here</status><status xml:lang='de'>da</status>"))
    assert own.status == (("", "here"), ("de", "da"))


def test_another_payload_looks_different_and_the_servers_own_stamp_does_not() -> None:
    caps = "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v' hash='sha-1'/>"
    stamp = "<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2026-01-01T00:00:00Z'/>"
    assert own_of(presence(caps)) == own_of(presence(caps + stamp))
    assert own_of(presence(caps)).rest != own_of(presence(caps.replace("'v'", "'w'"))).rest
    assert own_of(presence("", "xml:lang='de'")).rest != own_of(presence("")).rest


def test_who_it_is_from_and_its_id_do_not_make_a_presence_look_different() -> None:
    assert own_of(presence("", "from='a@b/c' id='1'")) == own_of(presence("", "from='a@b/d' id='2'"))
