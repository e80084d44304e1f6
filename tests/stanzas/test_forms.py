"""Data forms: what clients get, and what is read of what they send back."""

from xml.etree.ElementTree import fromstring, tostring

import pytest

from stanzas.forms import FormField, Submitted, form, submitted, table


def test_a_form_has_title_instructions_type_and_fields() -> None:
    x = form(
        "Label",
        "Labels a contact.",
        [
            FormField("contact", "jid-single", "Contact", required=True, desc="Bare JID"),
            FormField("labels", "list-multi", "Labels", ["a", "b"], options=[("a", "A & co"), ("b", "B")]),
        ],
        "urn:x-rapport:label:0",
    )
    assert tostring(x).decode().replace("ns0:", "").replace(":ns0", "") == (
        '<x xmlns="jabber:x:data" type="form"><title>Label</title><instructions>Labels a contact.</instructions>'
        '<field var="FORM_TYPE" type="hidden"><value>urn:x-rapport:label:0</value></field>'
        '<field var="contact" type="jid-single" label="Contact"><desc>Bare JID</desc><required /></field>'
        '<field var="labels" type="list-multi" label="Labels"><value>a</value><value>b</value>'
        '<option label="A &amp; co"><value>a</value></option><option label="B"><value>b</value></option></field></x>'
    )


def test_a_table_is_a_field_per_row_without_reported() -> None:
    x = table("Levels", [("bob@example.org", "level 1"), ("carol@example.org", "level 2")])
    assert x.get("type") == "result"
    assert [(field.get("var"), field.get("type"), field.get("label")) for field in x[1:]] == [
        ("row1", "text-single", "bob@example.org"),
        ("row2", "text-single", "carol@example.org"),
    ]


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ("<field var='a'><value>1</value></field>", {"a": ["1"]}),
        ("<field var='a' type='text-multi'><value>1</value><value>2</value></field>", {"a": ["1", "2"]}),
        ("<field var='a'/>", {"a": []}),
        ("<field var='a'><value/></field>", {"a": [""]}),
        ("<field var='a'><option label='A'><value>1</value></option><desc>2</desc><required/></field>", {"a": []}),
        ("<field type='fixed'><value>1</value></field><title>2</title>", {}),
        ("<field var=''><value>1</value></field>", {}),
        ("<field var='a'><value>1</value></field><field var='a'><value>2</value></field>", {"a": ["1"]}),
        ("<item><field var='a'><value>1</value></field></item>", {}),
        ("<field xmlns='urn:x' var='a'><value>1</value></field>", {}),
    ],
)
def test_only_fields_with_a_name_and_their_values_are_read(fields: str, values: dict[str, list[str]]) -> None:
    assert submitted(fromstring(f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>")) == Submitted("submit", values)


def test_a_form_without_type_counts_as_submitted() -> None:
    assert submitted(fromstring("<x xmlns='jabber:x:data'/>")).kind == "submit"
