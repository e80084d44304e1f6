"""Addresses at the component's domain, and XEP-0106."""

import aioxmpp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from component.rules.addresses import (
    LONGEST,
    Address,
    Conversation,
    Face,
    Member,
    Own,
    Virtual,
    conversation,
    escape,
    face,
    member,
    owner_of,
    parse,
    unescape,
)


def is_virtual(node: str) -> bool:
    return node == "shop"


def is_community(name: str) -> bool:
    return name == "movies"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        # XEP-0106, 5 (examples of its tables)
        ("space cadet", "space\\20cadet"),
        ('call me "ishmael"', "call\\20me\\20\\22ishmael\\22"),
        ("at&t guy", "at\\26t\\20guy"),
        ("d'artagnan", "d\\27artagnan"),
        ("/.fanboy", "\\2f.fanboy"),
        ("::foo::", "\\3a\\3afoo\\3a\\3a"),
        ("<foo>", "\\3cfoo\\3e"),
        ("user@host", "user\\40host"),
        ("c:\\net", "c\\3a\\net"),
        ("c:\\\\net", "c\\3a\\\\net"),
        ("c:\\cool stuff", "c\\3a\\cool\\20stuff"),
        ("c:\\5commas", "c\\3a\\5c5commas"),
        ("\\3and\\2is\\5@example.com", "\\5c3and\\2is\\5\\40example.com"),
        ("\\3catsand\\2catsis\\5cats@example.com", "\\5c3catsand\\2catsis\\5c5cats\\40example.com"),
        # accounts that Prosody lets register
        ("o\\27neil@localhost", "o\\5c27neil\\40localhost"),
        ("a%b@localhost", "a%b\\40localhost"),
        ("c\\5c40d@localhost", "c\\5c5c40d\\40localhost"),
        ("", ""),
        ("plain", "plain"),
        ("\\", "\\"),
        ("\\2", "\\2"),
        ("\\5c", "\\5c5c"),
        ("\\\\20", "\\\\5c20"),
        ("[::1]", "[\\3a\\3a1]"),
    ],
)
def test_what_a_local_part_cannot_hold_is_escaped(text: str, escaped: str) -> None:
    assert escape(text) == escaped
    assert unescape(escaped) == text


def test_a_space_at_either_end_cannot_be_escaped() -> None:
    for text in (" a", "a ", " "):
        with pytest.raises(ValueError, match="space"):
            escape(text)


@pytest.mark.parametrize(
    ("local", "text"),
    [("\\20a", "\\20a"), ("a\\20", "a\\20"), ("\\20", "\\20"), ("\\20a\\20b\\20", "\\20a b\\20"), ("\\7e\\4", "\\7e\\4"), ("\\2F", "\\2F")],
)
def test_what_is_no_escape_stays_as_it_is(local: str, text: str) -> None:
    assert unescape(local) == text


@given(st.text())
def test_what_is_escaped_comes_back(text: str) -> None:
    text = text.strip(" ")
    assert unescape(escape(text)) == text
    assert not set(escape(text)) & set(" \"&'/:<>@")


@given(st.text(st.sampled_from("\\2567abcdef0 \"&'/:<>@3%é")).map(lambda text: text.strip(" ")))
def test_another_implementation_escapes_alike(text: str) -> None:
    assert escape(text) == aioxmpp.jid_escape(text)


# A local part after nodeprep: no capitals, none of the eight, no spaces.
local_parts = st.text(
    st.characters(exclude_characters=" \"&'/:<>@", exclude_categories=("C", "Z", "Lu")), min_size=1, max_size=100
) | st.text(st.sampled_from("\\25cb40%a"), min_size=1)
domains = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\.[a-z0-9]{1,10}){0,3}", fullmatch=True) | st.sampled_from(
    ["[::1]", "münchen.de"]
)
bare_jids = st.builds(lambda local, domain: f"{local}@{domain}", local_parts, domains)


@given(bare_jids | domains)
@example("a%shop@localhost")
@example("a\\40b%shop@x")
def test_every_customer_has_an_address_of_their_own(customer: str) -> None:
    assert parse(conversation(customer, "shop"), is_virtual, is_community) == Conversation(customer, "shop")


@given(bare_jids)
@example("a%b@example.org")
@example("joe%movies@x")
def test_every_user_has_a_face(owner: str) -> None:
    assert parse(face(owner), is_virtual, is_community) == Face(owner)


@given(st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=50).map(lambda uid: uid.strip(" ")).filter(bool))
def test_every_member_of_a_community_has_an_address(uid: str) -> None:
    assert parse(member(uid, "movies"), is_virtual, is_community) == Member(uid, "movies")


@pytest.mark.parametrize(
    ("local", "address"),
    [
        ("", Own()),
        ("rapport", Own()),
        ("shop", Virtual("shop")),
        ("nobody", None),
        ("abc\\40x.org%shop", Conversation("abc@x.org", "shop")),
        ("abc\\40x.org%nobody", None),
        ("x.org%shop", Conversation("x.org", "shop")),
        ("%shop", None),
        ("shop%", None),
        ("%", None),
        ("alice\\40example.org", Face("alice@example.org")),
        ("\\40example.org", None),
        ("alice\\40", None),
        ("joe%movies", Member("joe", "movies")),
        ("a\\40b\\2fres%shop", None),
        ("a\\40b\\40c%shop", None),
        ("a\\5cb\\40c%shop", None),
        ("a\\5cb\\40c", None),
    ],
)
def test_an_address_stands_for_one_thing_or_nobody(local: str, address: Address | None) -> None:
    assert parse(local, is_virtual, is_community) == address


@pytest.mark.parametrize(
    ("jid", "owner"),
    [
        ("alice\\40example.org@rapport.example.org", "alice@example.org"),
        ("alice\\40example.org@elsewhere.example", None),
        ("alice@example.org", None),
        ("shop@rapport.example.org", None),
        ("alice\\40example.org%shop@rapport.example.org", None),
        ("joe\\40home%movies@rapport.example.org", None),
        ("rapport.example.org", None),
    ],
)
def test_a_face_tells_whose_it_is(jid: str, owner: str | None) -> None:
    assert owner_of(jid, "rapport.example.org") == owner


@given(st.text())
def test_no_local_part_is_an_error(local: str) -> None:
    parse(local, is_virtual, is_community)


def test_an_address_that_would_be_too_long_is_refused() -> None:
    fits = "x" * (LONGEST - len("\\40y%shop")) + "@y"
    assert len(conversation(fits, "shop")) == LONGEST
    with pytest.raises(ValueError, match="1024 bytes"):
        conversation("x" + fits, "shop")
