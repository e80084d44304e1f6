"""S4's questions, as clients ask them: rosters and files of a face, doors opened by command."""

from typing import Any

from rig import commands, xml
from rig.raw import RawClient
from rig.server import COMPONENT
from rig.xml import Element

LEVELS = "urn:x-rapport:levels:0"
FILES = "urn:x-rapport:files:0"
RSM = "http://jabber.org/protocol/rsm"
VCARD = "vcard-temp"
VCARD4 = "urn:ietf:params:xml:ns:vcard-4.0"
NICK = "http://jabber.org/protocol/nick"
SFS = "urn:xmpp:sfs:0"
METADATA = "urn:xmpp:file:metadata:0"
URL_DATA = "http://jabber.org/protocol/url-data"


def face(owner: str) -> str:
    """The face of a bare JID that needs no other escapes than that of its `@`."""
    return owner.replace("@", "\\40") + f"@{COMPONENT}"


async def confirmed(client: RawClient, node: str, values: commands.Values) -> tuple[str, commands.Answer]:
    """Run a command that asks once more before it saves, and say yes: what it asked, and the completed answer."""
    form = await commands.execute(client, node)
    asked = await commands.submit(client, form, values)
    assert asked.status == "executing", asked.text
    answer = await commands.submit(client, asked, {"confirm": True})
    assert answer.status == "completed", answer.text
    return asked.text, answer


async def open_door(client: RawClient, door: str, *levels: int, **more: Any) -> str:
    """By the command `open`; what it said before it saved."""
    said, _answer = await confirmed(client, "open", {"door": door, "levels": [str(level) for level in levels], **more})
    return said


async def pin(client: RawClient, contact: str, level: int) -> None:
    """By the command `label`."""
    await commands.run(client, "label", {"contact": contact, "level": str(level), "pin": True})


def roster_query(n: int | None = None, label: str | None = None, page: str = "") -> str:
    """`page`: what stands in the XEP-0059 set, as XML."""
    attributes = (f" n='{n}'" if n is not None else "") + (f" label={xml.quoteattr(label)}" if label is not None else "")
    level = f"<level xmlns='{LEVELS}'{attributes}/>" if attributes else ""
    return f"<query xmlns='{xml.ROSTER}'>{level}{_set(page)}</query>"


def files_query(n: int | None = None, page: str = "") -> str:
    """`page`: as for `roster_query`."""
    return f"<files xmlns='{FILES}'" + (f" n='{n}'" if n is not None else "") + f">{_set(page)}</files>"


def _set(page: str) -> str:
    return f"<set xmlns='{RSM}'>{page}</set>" if page else ""


async def contacts(client: RawClient, owner: str, n: int | None = None, label: str | None = None) -> dict[str, "Listed"]:
    """What a roster query gets, by JID. Raises AssertionError if it gets an error."""
    return listed(await client.iq("get", roster_query(n, label), face(owner)))


Listed = tuple[str | None, list[str]]
"""A contact's name and groups."""


def listed(answer: Element) -> dict[str, Listed]:
    """The items of a roster result."""
    assert answer.get("type") == "result", xml.dump(answer)
    return {
        item.get("jid", ""): (item.get("name"), [group.text or "" for group in xml.children(item, "group")])
        for item in xml.children(answer[0], "item", xml.ROSTER)
    }


async def files(client: RawClient, owner: str, n: int | None = None) -> list[dict[str, str]]:
    """The files that a query gets: name, size, media-type, hash and link of each."""
    answer = await client.iq("get", files_query(n), face(owner))
    assert answer.get("type") == "result", xml.dump(answer)
    return [shared(each) for each in xml.children(answer[0], "file-sharing", SFS)]


def shared(sharing: Element) -> dict[str, str]:
    metadata = xml.child(sharing, "file", METADATA)
    assert metadata is not None, xml.dump(sharing)
    target = next(each.get("target", "") for each in sharing.iter(f"{{{URL_DATA}}}url-data"))
    return {xml.name(each): each.text or "" for each in metadata} | {"link": target}


def same(stanza: Element) -> str:
    """A stanza but for its ids (that of the asker's archive too) and addresses."""
    for each in list(xml.children(stanza, "stanza-id")):
        stanza.remove(each)
    for attribute in ("id", "from", "to"):
        stanza.attrib.pop(attribute, None)
    return xml.dump(stanza)
