"""Stanzas as they are built: replies, errors, and nothing that XML forbids."""

from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stanzas.build import ERROR_TYPES, element, error_reply, fresh_id, iq, may_be_answered, message, presence, result_reply

ERRORS = "{urn:ietf:params:xml:ns:xmpp-stanzas}"
C = "{jabber:component:accept}"


def asked(name: str = "iq", kind: str | None = "get") -> Element:
    attributes = {"from": "alice@example.org/phone", "to": "rapport.example.org", "id": "i1", "type": kind}
    return element("jabber:component:accept", name, attributes)


@pytest.mark.parametrize(("condition", "kind"), ERROR_TYPES.items())
def test_an_error_goes_back_with_the_conditions_usual_type(condition: str, kind: str) -> None:
    reply = error_reply(asked(), condition)
    assert reply.tag == f"{C}iq"
    assert reply.attrib == {"from": "rapport.example.org", "to": "alice@example.org/phone", "id": "i1", "type": "error"}
    assert [child.tag for child in reply] == [f"{C}error"]
    assert reply[0].attrib == {"type": kind}
    assert [child.tag for child in reply[0]] == [f"{ERRORS}{condition}"]


def test_an_error_can_tell_more() -> None:
    reply = error_reply(asked("message", "chat"), "forbidden", "cancel", "No & no.", element("urn:x-rapport:x:0", "why"))
    assert reply[0].attrib == {"type": "cancel"}
    assert [(child.tag, child.text) for child in reply[0]] == [
        (f"{ERRORS}forbidden", None),
        (f"{ERRORS}text", "No & no."),
        ("{urn:x-rapport:x:0}why", None),
    ]


@pytest.mark.parametrize("name", ["iq", "message", "presence"])
@pytest.mark.parametrize("kind", ["error", "result"])
def test_errors_and_results_are_never_answered_with_an_error(name: str, kind: str) -> None:
    assert not may_be_answered(asked(name, kind))
    with pytest.raises(ValueError, match="can't answer"):
        error_reply(asked(name, kind), "item-not-found")


def test_an_error_without_an_id_answers_a_stanza_without_one() -> None:
    stanza = asked("message", None)
    del stanza.attrib["id"]
    assert "id" not in error_reply(stanza, "item-not-found").attrib


def test_a_condition_that_there_is_not_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no condition"):
        error_reply(asked(), "bad-mood")


def test_a_result_goes_back_with_its_payload() -> None:
    payload = element("urn:x", "query")
    reply = result_reply(asked(), payload)
    assert reply.attrib == {"from": "rapport.example.org", "to": "alice@example.org/phone", "id": "i1", "type": "result"}
    assert list(reply) == [payload]


def test_a_message_has_type_id_and_body() -> None:
    stanza = message("shop@rapport.example.org", "bob@example.net", "1 < 2 & 3", element("urn:x", "extra"))
    assert stanza.get("type") == "chat"
    assert stanza.get("id")
    assert [(child.tag, child.text) for child in stanza] == [(f"{C}body", "1 < 2 & 3"), ("{urn:x}extra", None)]
    assert "1 &lt; 2 &amp; 3" in tostring(stanza).decode()


def test_a_normal_message_has_no_type_and_an_empty_one_no_body() -> None:
    stanza = message("a@x", "b@x", None, kind=None, stanza_id="m1")
    assert (stanza.attrib, len(stanza)) == ({"from": "a@x", "to": "b@x", "id": "m1"}, 0)


def test_a_presence_is_available_unless_it_says_otherwise() -> None:
    assert presence("a@x/r", "b@x").attrib == {"from": "a@x/r", "to": "b@x"}
    gone = presence("a@x/r", "b@x", kind="unavailable", status="Bye")
    assert (gone.get("type"), gone.findtext(f"{C}status"), gone.find(f"{C}show")) == ("unavailable", "Bye", None)
    assert presence("a@x/r", "b@x", show="dnd").findtext(f"{C}show") == "dnd"


def test_an_iq_always_has_an_id() -> None:
    assert iq("get", "a@x", "b@x", stanza_id="i7").get("id") == "i7"
    assert iq("get", "a@x", "b@x").get("id")
    assert fresh_id() != fresh_id()


@given(st.text(st.sampled_from("a<>&'\"\x00\x02\x0b\ufffe\ud800\udfff🙌\n]")))
def test_whatever_is_said_is_well_formed_xml(text: str) -> None:
    stanza = message("a@x", text, text, element("urn:x", "y", {"z": text}))
    read = fromstring(tostring(stanza, encoding="utf-8"))
    assert (read.findtext(f"{C}body") or "").count("a") == text.count("a")
