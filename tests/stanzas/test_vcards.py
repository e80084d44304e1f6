import base64
from xml.etree.ElementTree import Element, tostring

import pytest

from stanzas.vcards import CARD_NODES, LARGEST_PHOTO, Card, checked_photo, nick_event, node_answer, vcard4, vcard_temp

PIXEL = base64.b64encode(b"\x89PNG-like bytes").decode()
ALICE = Card("alice", "Alice Liddell", "Alice", "Liddell", "https://example.org/alice.png")


def written(element: Element) -> str:
    """The element with its own namespace as the default one."""
    return tostring(element, encoding="unicode").replace("ns0:", "").replace(":ns0", "")


def test_a_vcard_temp_with_a_real_name() -> None:
    assert written(vcard_temp(ALICE)) == (
        '<vCard xmlns="vcard-temp"><FN>Alice Liddell</FN><N><FAMILY>Liddell</FAMILY><GIVEN>Alice</GIVEN></N><NICKNAME>alice</NICKNAME>'
        "<PHOTO><EXTVAL>https://example.org/alice.png</EXTVAL></PHOTO></vCard>"
    )


def test_a_vcard4_with_a_real_name() -> None:
    assert written(vcard4(ALICE)) == (
        '<vcard xmlns="urn:ietf:params:xml:ns:vcard-4.0"><fn><text>Alice Liddell</text></fn>'
        "<n><surname>Liddell</surname><given>Alice</given></n><nickname><text>alice</text></nickname>"
        "<photo><uri>https://example.org/alice.png</uri></photo></vcard>"
    )


def test_without_a_real_name_only_the_nickname_shows() -> None:
    assert "".join(vcard_temp(Card("alice")).itertext()) == "alice"
    assert "".join(vcard4(Card("alice")).itertext()) == "alice"


def test_an_image_of_its_own_is_in_the_card() -> None:
    card = Card("alice", "Alice", photo=f"data:image/png;base64,{PIXEL}")
    assert [part.text for part in vcard_temp(card)[-1]] == ["image/png", PIXEL]
    assert "".join(vcard4(card)[-1].itertext()) == card.photo


@pytest.mark.parametrize("node", CARD_NODES)
def test_a_card_is_read_by_pep_node_too(node: str) -> None:
    answer = node_answer(node, ALICE)
    assert answer[0].get("node") == node
    assert "Alice Liddell" in "".join(answer.itertext())


def test_a_nickname_event_carries_the_name() -> None:
    assert "".join(nick_event(ALICE).itertext()) == "Alice Liddell"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" https://example.org/a.png ", "https://example.org/a.png"),
        (f"data:image/png;base64,{PIXEL[:5]}\n{PIXEL[5:]}", f"data:image/png;base64,{PIXEL}"),
        ("data:image/gif,GIF89a%3B", f"data:image/gif;base64,{base64.b64encode(b'GIF89a;').decode()}"),
    ],
)
def test_a_photo_is_a_link_or_an_image(typed: str, kept: str) -> None:
    assert checked_photo(typed) == kept


@pytest.mark.parametrize(
    "typed",
    ["me.png", "data:text/html,<b>hi</b>", "data:image/svg+xml,<svg/>", "data:image/png;base64,!!", "data:image/png;base64,",
     f"data:image/png;base64,{base64.b64encode(bytes(LARGEST_PHOTO + 1)).decode()}"],
)  # fmt: skip
def test_what_is_no_photo_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        checked_photo(typed)
