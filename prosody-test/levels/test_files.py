"""Shared files (spec: contact levels, Files)."""

import pytest
from rig import commands, levels, xml

ALICE = "alice@localhost"
FACE = levels.face(ALICE)
FILES = 1_000
"""As many as one user can share (docs/levels.md, Bounds)."""
LINK = "https://upload.example/x1/plan%20B.pdf"
HASH = "2XarmwTlNxDAMkvymloX3S5+VbylNrJt/l5QyPa+YoU="
OOB = f"<x xmlns='jabber:x:oob'><url>{LINK}</url></x>"
SFS = (
    f"<file-sharing xmlns='{levels.SFS}' disposition='attachment'><file xmlns='{levels.METADATA}'><media-type>application/pdf</media-type>"
    f"<name>plan.pdf</name><size>3032449</size><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{HASH}</hash></file>"
    f"<sources><url-data xmlns='{levels.URL_DATA}' target='{LINK}'/></sources></file-sharing>"
)


async def shared_by_message(client, payload: str) -> str:
    """Send a file to one's own face; the reply."""
    start = client.mark()
    await client.message(FACE, LINK, extra=payload)
    return (await client.until(lambda: client.bodies(FACE, start)))[0]


@pytest.mark.parametrize(
    ("payload", "known"),
    [
        (OOB, {"name": "plan B.pdf", "link": LINK}),
        (SFS + OOB, {"name": "plan.pdf", "size": "3032449", "media-type": "application/pdf", "hash": HASH, "link": LINK}),
    ],
    ids=["XEP-0066", "XEP-0447"],
)
async def test_a_file_that_the_owner_sends_to_their_own_face_is_shared(around_alice, payload, known):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 3)
    assert known["name"] in await shared_by_message(s["alice"], payload)
    assert await levels.files(s["level3"], ALICE) == [known]
    assert await levels.files(s["level1"], ALICE, 3) == [known]
    answer = await s["level4"].iq("get", levels.files_query(), FACE)
    assert xml.condition(answer) == "forbidden"


async def test_a_file_is_for_its_level(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 1, 3, 5)
    for level in (1, 2, 3):
        await commands.run(s["alice"], "share", {"link": f"https://upload.example/{level}", "name": f"for {level}", "level": str(level)})
    seen = {asker: [file["name"] for file in await levels.files(s[asker], ALICE)] for asker in ("level1", "level2", "level4")}
    assert seen == {"level1": ["for 1", "for 3"], "level2": ["for 3"], "level4": []}
    assert [file["name"] for file in await levels.files(s["level1"], ALICE, 3)] == ["for 3"]


async def test_a_revoked_file_is_gone_at_once(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 5)
    await commands.run(s["alice"], "share", {"link": LINK})
    assert len(await levels.files(s["level1"], ALICE)) == 1
    await commands.run(s["alice"], "share", {"link": LINK, "revoke": True})
    assert await levels.files(s["level1"], ALICE) == []
    again = await commands.submit(s["alice"], await commands.execute(s["alice"], "share"), {"link": LINK, "revoke": True})
    assert again.status == "executing"


async def test_a_level_given_later_keeps_what_is_known_of_the_file(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 1, 5)
    await shared_by_message(s["alice"], SFS)
    await commands.run(s["alice"], "share", {"link": LINK, "level": "1"})
    assert await levels.files(s["level5"], ALICE) == []
    assert (await levels.files(s["level1"], ALICE))[0]["hash"] == HASH


async def test_files_by_command_and_as_messages(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 3)
    await shared_by_message(s["alice"], SFS)
    answer = await commands.run(s["level3"], "files-of", {"owner": ALICE, "send_links": True})
    ((name, rest),) = answer.rows
    assert name == "plan.pdf"
    for part in (LINK, "3032449", "application/pdf", HASH):
        assert part in rest
    message = await s["level3"].expect(lambda each: xml.sender(each) == commands.CHAT)
    sharing = xml.child(message, "file-sharing", levels.SFS)
    assert sharing is not None
    assert levels.shared(sharing)["hash"] == HASH
    assert xml.body(message) == LINK


@pytest.mark.parametrize("link", ["plan.pdf", "javascript:alert(1)", "file:///etc/passwd", "https://"])
async def test_what_is_no_link_of_the_web_is_not_shared(around_alice, link):
    s = await around_alice()
    answer = await commands.submit(s["alice"], await commands.execute(s["alice"], "share"), {"link": link})
    assert answer.status == "executing"
    assert "link" in answer.text
    await levels.open_door(s["alice"], "files", 5)
    await s["alice"].message(FACE, "here", extra=f"<x xmlns='jabber:x:oob'><url>{xml.escape(link)}</url></x>")
    await s["alice"].until(lambda: s["alice"].bodies(FACE))
    assert await levels.files(s["level1"], ALICE) == []


async def test_files_stay_when_rapport_starts_again(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 3)
    await shared_by_message(s["alice"], SFS)
    before = await levels.files(s["level3"], ALICE)
    await s.rapport.restart()
    assert await levels.files(s["level3"], ALICE) == before


@pytest.mark.parametrize("storage", ["sqlite", "postgresql"])
async def test_a_file_is_shared_whatever_its_link_hides(around_alice, storage, request):
    s = await around_alice(storage=None if storage == "sqlite" else request.getfixturevalue("postgres").database())
    await levels.open_door(s["alice"], "files", 5)
    link = "https://upload.example/plan%00%0A%02.pdf"
    await commands.run(s["alice"], "share", {"link": link})
    assert await levels.files(s["level1"], ALICE) == [{"name": "plan\ufffd \ufffd.pdf", "link": link}]


async def test_more_files_than_fit_one_answer_come_by_pages(around_alice):
    s = await around_alice()
    await levels.open_door(s["alice"], "files", 5)
    links = [f"https://upload.example/{'x' * 100}/{number:04}?a=1&b=2" for number in range(FILES)]
    for start in range(0, FILES, 200):
        await shared_by_message(s["alice"], "".join(SFS.replace(LINK, xml.escape(link)) for link in links[start : start + 200]))
    bob = s["level1"]

    async def page(rest: str) -> tuple[list[str], xml.Element]:
        answer = await bob.iq("get", levels.files_query(5, rest), FACE)
        assert answer.get("type") == "result", xml.dump(answer)
        assert len(xml.dump(answer).encode()) < 256 * 1024
        told = xml.child(answer[0], "set", levels.RSM)
        assert told is not None
        assert xml.text(told, "count") == str(FILES)
        return [levels.shared(each)["link"] for each in xml.children(answer[0], "file-sharing", levels.SFS)], told

    found, told = await page("")
    while len(found) < FILES:
        some, told = await page(f"<max>2147483647</max><after>{xml.text(told, 'last')}</after>")
        assert some
        found += some
    assert found == links
    assert (await page("<before/><max>2</max>"))[0] == links[-2:]
    assert (await page("<max>0</max>"))[0] == []
