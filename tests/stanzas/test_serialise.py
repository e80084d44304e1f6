"""Elements are written so that any XML parser reads the same elements."""

from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stanzas.namespaces import CLIENT, COMPONENT, XML, qualified
from stanzas.serialise import serialise
from stanzas.text import clean

names = st.sampled_from(["message", "body", "x", "a-b.c"])
namespaces = st.sampled_from([COMPONENT, CLIENT, "urn:example:a", "urn:example:o'neil&<>", ""])
tags = st.builds(lambda namespace, name: qualified(namespace, name) if namespace else name, namespaces, names)
keys = st.sampled_from(["id", "from", qualified(XML, "lang"), qualified("urn:example:a", "id"), qualified("urn:example:b", "id")])
texts = st.one_of(st.none(), st.text().map(clean), st.text("&<>'\"\t\n\r é☕"))


def built(tag: str, attributes: dict[str, str], text: str | None, tail: str | None, children: list[Element]) -> Element:
    element = Element(tag, attributes)
    element.text, element.tail = text, tail
    element.extend(children)
    return element


def elements(children: st.SearchStrategy[list[Element]]) -> st.SearchStrategy[Element]:
    return st.builds(built, tags, st.dictionaries(keys, texts.map(lambda text: text or "")), texts, texts, children)


trees = st.recursive(elements(st.just([])), lambda inner: elements(st.lists(inner, max_size=3)), max_leaves=8)


def same(one: Element, other: Element) -> bool:
    return (
        (one.tag, one.attrib, one.text or "", one.tail or "") == (other.tag, other.attrib, other.text or "", other.tail or "")
        and len(one) == len(other)
        and all(map(same, one, other))
    )


@given(trees)
def test_what_is_written_is_read_as_the_same(tree: Element) -> None:
    tree.tail = None
    assert same(fromstring(serialise(tree, "")), tree)


@given(trees)
def test_so_it_is_on_the_stream_whose_namespace_is_not_declared_again(tree: Element) -> None:
    tree.tail = None
    stream = fromstring(f"<stream xmlns='{COMPONENT}'>{serialise(tree)}</stream>")
    assert same(stream[0], tree)


@pytest.mark.parametrize(
    ("xml", "written"),
    [
        (f"<message xmlns='{COMPONENT}' to='a'/>", "<message to='a'/>"),
        (
            f"<message xmlns='{COMPONENT}' xml:lang='de'><body>1 &lt; 2</body></message>",
            "<message xml:lang='de'><body>1 &lt; 2</body></message>",
        ),
        (f"<message xmlns='{COMPONENT}'><x xmlns='urn:a'><y/></x></message>", "<message><x xmlns='urn:a'><y/></x></message>"),
        (f"<message xmlns='{COMPONENT}' id='&quot;&apos;&#10;'/>", "<message id='\"&apos;&#10;'/>"),
    ],
)
def test_stanzas_look_as_on_the_stream(xml: str, written: str) -> None:
    assert serialise(fromstring(xml)) == written
