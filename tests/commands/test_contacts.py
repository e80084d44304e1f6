"""Which contact a person means: by JID, domain, local part or roster name."""

import pytest

from component.commands.contacts import contact_of
from component.commands.model import BadField
from component.ports import LinkDown
from component.rules.rosters import Item, Roster, Subscription

CONTACTS = {
    "bob@example.org": "Bobby Tables",
    "eve@example.org": "",
    "eve@example.net": "Evelyn",
    "irc.example.org": "Chat rooms",
    "ann@example.org": "Bob",
    "straße@example.org": "",
}
ROSTER: Roster = {jid: Item(jid, Subscription.BOTH, name) for jid, name in CONTACTS.items()}


async def roster(_user: str) -> Roster:
    return ROSTER


async def no_link(user: str) -> Roster:
    raise LinkDown(user)


async def meant(typed: str) -> str:
    return await contact_of("alice@example.org", typed, "contact", roster)


@pytest.mark.parametrize(
    ("typed", "jid"),
    [
        ("bob@example.org", "bob@example.org"),
        ("BOB@Example.ORG/phone", "bob@example.org"),
        ("nobody@example.org", "nobody@example.org"),
        ("bobby tables", "bob@example.org"),
        ("Evelyn", "eve@example.net"),
        ("ANN", "ann@example.org"),
        ("IRC.example.org", "irc.example.org"),
        ("chat rooms", "irc.example.org"),
        ("STRASSE", "straße@example.org"),
    ],
)
async def test_a_contact_is_meant_by_any_jid_or_by_a_name_that_only_they_have(typed: str, jid: str) -> None:
    assert await meant(typed) == jid


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("bob", "may be bob@example.org or ann@example.org"),
        ("eve", "may be eve@example.org or eve@example.net"),
        ("zoe", "'zoe' is no contact"),
        ("example.org", "'example.org' is no contact"),
        ("a b", "'a b' is no contact"),
        ("a@@b", "more than one @"),
        ("@example.org", "nothing stands before its @"),
    ],
)
async def test_who_is_nobody_or_may_be_several_is_refused_with_the_reason(typed: str, reason: str) -> None:
    with pytest.raises(BadField) as refused:
        await meant(typed)
    assert refused.value.name == "contact"
    assert reason in refused.value.reason


async def test_a_jid_needs_no_roster_and_a_name_does() -> None:
    assert await contact_of("alice@example.org", "bob@x.org", "who", no_link) == "bob@x.org"
    with pytest.raises(LinkDown):
        await contact_of("alice@example.org", "bob", "who", no_link)
