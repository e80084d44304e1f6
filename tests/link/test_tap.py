"""A message in a room as the link tells it, and what is taken from it."""

from xml.etree.ElementTree import fromstring

import pytest

from component.link.tap import said
from component.rules.rooms import Member
from stanzas import link


def in_room(inner: str) -> str:
    return f"<message xmlns='jabber:client' type='groupchat' from='alice@h/phone' to='talk@rooms.h' id='m1'>{inner}</message>"


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("xmpp:bob@h", "bob@h"),
        ("xmpp:bob@h?message", "bob@h"),
        ("xmpp:talk@rooms.h/Bob%20B", "talk@rooms.h/Bob B"),
        ("https://h/bob", ""),
        ("bob@h", ""),
        ("", ""),
    ],
)
def test_a_mention_names_the_jid_of_its_uri(uri: str, names: str) -> None:
    reference = f"<reference xmlns='urn:xmpp:reference:0' type='mention' uri='{uri}'/>"
    assert said(fromstring(in_room(reference)), 0.0, ()).references == (names,)


def test_other_references_name_nobody() -> None:
    reference = "<reference xmlns='urn:xmpp:reference:0' type='data' uri='xmpp:bob@h'/><reference xmlns='urn:xmpp:reference:0'/>"
    assert said(fromstring(in_room(reference)), 0.0, ()).references == ()


def test_text_author_room_answered_one_and_members_are_taken() -> None:
    inner = "<body>hello</body><body xml:lang='de'>hallo</body><body/><reply xmlns='urn:xmpp:reply:0' to='talk@rooms.h/Bob' id='a1'/>"
    found = said(fromstring(in_room(inner)), 3.0, (link.Member("bob@h", "Bob"), link.Member("carol@h")))
    assert (found.tapped.sender, found.tapped.recipient, found.tapped.at) == ("alice@h", "talk@rooms.h", 3.0)
    assert found.text.split() == ["hello", "hallo"]
    assert found.answers == "talk@rooms.h/Bob"
    assert found.members == (Member("bob@h", "Bob"), Member("carol@h"))
