from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as some

from stanzas.text import clean, is_clean


@pytest.mark.parametrize("text", ["", "Bücher", "a\tb\nc\rd", "🙌", "\x7f\x85", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff"])
def test_what_xml_allows_is_clean(text: str) -> None:
    assert is_clean(text)
    assert clean(text) == text


@pytest.mark.parametrize("odd", ["\0", "\x02", "\x1a", "\x1f", "\x0b", "\ud800", "\udfff", "\ufffe", "\uffff"])
def test_what_xml_forbids_is_not_and_is_replaced(odd: str) -> None:
    assert not is_clean(f"Book{odd}shop")
    assert clean(f"Book{odd}shop") == "Book\ufffdshop"


@given(some.text(some.characters(codec=None, exclude_characters="\r")))
def test_a_cleaned_text_travels_through_xml(text: str) -> None:
    element = ElementTree.Element("body")
    element.text = clean(text)
    assert (ElementTree.fromstring(ElementTree.tostring(element)).text or "") == clean(text)
