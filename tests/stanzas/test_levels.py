from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stanzas.levels import NO_LEVEL, ContactsQuery, Listed, contacts_answer, contacts_query, exchange, roster_link
from stanzas.rsm import PageRequest, page_answer, page_request

RSM = "http://jabber.org/protocol/rsm"


def written(element: Element) -> str:
    """The element with its own namespace as the default one."""
    return tostring(element, encoding="unicode").replace("ns0:", "").replace(":ns0", "")


def query(inner: str = "") -> Element:
    return fromstring(f"<query xmlns='jabber:iq:roster'>{inner}</query>")


def level(attributes: str) -> str:
    return f"<level xmlns='urn:x-rapport:levels:0' {attributes}/>"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("", ContactsQuery()),
        (level("n='3'"), ContactsQuery(3)),
        (level("n='3' label='colleague'"), ContactsQuery(3, "colleague")),
        (level("label='colleague'"), ContactsQuery(None, "colleague")),
        (level(""), ContactsQuery()),
        (f"<set xmlns='{RSM}'><max>10</max></set>", ContactsQuery(page=PageRequest(10))),
        # XEP-0059, 8: an unsignedInt.
        (f"<set xmlns='{RSM}'><max>4294967295</max></set>", ContactsQuery(page=PageRequest(4294967295))),
    ],
)
def test_a_query_asks_for_a_level_a_label_and_a_page(inner: str, expected: ContactsQuery) -> None:
    assert contacts_query(query(inner)) == expected


@pytest.mark.parametrize("n", ["0", "6", "-1", "+3", "9" * 5000])
def test_a_number_that_is_none_of_1_to_5_is_a_level_that_nobody_has(n: str) -> None:
    assert contacts_query(query(level(f"n='{n}'"))) == ContactsQuery(NO_LEVEL)


@pytest.mark.parametrize("n", ["3.0", "", " 3", "٣", "all"])
def test_a_level_is_a_whole_number(n: str) -> None:
    with pytest.raises(ValueError, match="n is no whole number"):
        contacts_query(query(level(f"n='{n}'")))


def test_a_listed_contact_has_jid_level_and_labels_and_no_name_where_none_is_shared() -> None:
    answer = contacts_answer([Listed("bob@x.org", "Bob", 3, ("colleague", "chess")), Listed("eve@x.org", "", 5)])
    assert written(answer) == (
        '<query xmlns="jabber:iq:roster">'
        '<item jid="bob@x.org" name="Bob"><group>Level 3</group><group>colleague</group><group>chess</group></item>'
        '<item jid="eve@x.org"><group>Level 5</group></item></query>'
    )


@given(
    st.lists(st.builds(Listed, jid=st.text(max_size=60), name=st.text(max_size=60), level=st.integers(1, 5), labels=st.just(("a", "b"))))
)
def test_the_reckoned_size_is_no_less_than_the_written_one(contacts: list[Listed]) -> None:
    size = len(written(contacts_answer(contacts)).encode(errors="replace"))
    # Every character may become an entity of five bytes more.
    escapes = sum(5 * sum(text.count(each) for each in "&<>\"'\n\r\t") for c in contacts for text in (c.jid, c.name))
    assert size <= 100 + escapes + sum(contact.size() for contact in contacts)


def test_suggested_contacts_are_to_be_added() -> None:
    (item,) = exchange([Listed("bob@x.org", "Bob", 3)])
    assert (item.get("action"), item.get("jid"), item[0].text) == ("add", "bob@x.org", "Level 3")


@pytest.mark.parametrize(
    ("jid", "link"),
    [
        ("bob@example.org", "xmpp:bob@example.org?roster"),
        ("d'artagnan@example.org", "xmpp:d%27artagnan@example.org?roster"),
        ("a%b\\40c@example.org", "xmpp:a%25b%5C40c@example.org?roster"),
        ("jörg@example.org", "xmpp:j%C3%B6rg@example.org?roster"),
        ("news.example.org", "xmpp:news.example.org?roster"),
    ],
)
def test_a_contact_as_a_link(jid: str, link: str) -> None:
    assert roster_link(jid) == link


def page(inner: str) -> PageRequest | None:
    return page_request(query(f"<set xmlns='{RSM}'>{inner}</set>"))


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("", PageRequest()),
        ("<max>0</max>", PageRequest(0)),
        ("<max>10</max><after>bob@x.org</after>", PageRequest(10, after="bob@x.org")),
        ("<max>10</max><after/>", PageRequest(10)),
        ("<max>10</max><before/>", PageRequest(10, before="")),
        ("<before>bob@x.org</before>", PageRequest(before="bob@x.org")),
        ("<index>371</index><max>10</max>", PageRequest(10, index=371)),
    ],
)
def test_a_page_request(inner: str, expected: PageRequest) -> None:
    assert page(inner) == expected


@pytest.mark.parametrize("inner", ["<max>-1</max>", "<max/>", "<max>many</max>", "<index>1e3</index>", "<after>a</after><before/>"])
def test_a_malformed_page_request_is_refused(inner: str) -> None:
    with pytest.raises(ValueError, match="set: "):
        page(inner)


def test_a_query_without_a_set_asks_for_no_page() -> None:
    assert page_request(query()) is None


def test_a_page_says_where_it_is() -> None:
    assert written(page_answer(("ann@x.org", 3), "eve@x.org", 10)) == (
        f'<set xmlns="{RSM}"><first index="3">ann@x.org</first><last>eve@x.org</last><count>10</count></set>'
    )
    assert [child.tag.rpartition("}")[2] for child in page_answer(None, None, 0)] == ["count"]
