"""Who may look where: every asker at every door, asked in every way (spec: contact levels, What may be opened)."""

import asyncio
import random
import statistics
import time
from dataclasses import dataclass

import pytest
from rig import commands, levels, xml
from rig.chance import alike
from rig.raw import RawClient
from rig.server import Contact
from rig.wait import eventually

ALICE = "alice@localhost"
OPENED = {1, 3, 5}
ASKERS = {f"level{number}": number for number in range(1, 6)} | {"unlisted": 2, "blocked": None, "stranger": None}
"""Who asks → their level at alice's doors; None: they have none."""
OWNERS = {ALICE: True, "closed@localhost": False, "nobody@localhost": False, "alice@elsewhere.example": False}
"""Who is asked of → whether that one has opened anything; the second has not, the others don't exist."""
SAYS_NO = "You may not do that."


@dataclass(frozen=True)
class Question:
    owner: str
    door: str
    level: int | None

    def allowed(self, asker: str) -> bool:
        """The spec's sentence: n is open, and the level of the asker is not lower."""
        mine = ASKERS[asker] if OWNERS[self.owner] else None
        asked = OPENED if self.level is None else OPENED & {self.level}
        return mine is not None and any(mine <= each for each in asked)


QUESTIONS = [Question(owner, door, level) for owner in OWNERS for door in ("contacts", "files") for level in (None, 1, 2, 3, 4, 5)]


async def by_iq(client: RawClient, question: Question) -> bool:
    query = levels.roster_query if question.door == "contacts" else levels.files_query
    answer = await client.iq("get", query(question.level), levels.face(question.owner))
    assert answer.get("type") == "result" or xml.condition(answer) == "forbidden", xml.dump(answer)
    return answer.get("type") == "result"


async def by_form(client: RawClient, question: Question) -> bool:
    values = {"owner": question.owner, "level": "" if question.level is None else str(question.level)}
    form = await commands.execute(client, f"{question.door}-of")
    try:
        answer = await commands.submit(client, form, values)
    except commands.CommandError as error:
        assert str(error) == "forbidden"
        return False
    assert answer.status == "completed", answer.text
    return True


async def by_chat(client: RawClient, question: Question) -> bool:
    line = f"{question.door}-of {question.owner}" + ("" if question.level is None else f" {question.level}")
    return await commands.say(client, line) != SAYS_NO


@pytest.fixture
async def doors(around_alice):
    """Alice with her doors open at 1, 3 and 5, a contact who opted out of lists and one whom she blocks."""

    async def make(**users):
        s = await around_alice("unlisted", "blocked", "closed", users=users)
        for name in ("unlisted", "blocked"):
            await levels.pin(s["alice"], f"{name}@localhost", 2)
        await commands.run(s["unlisted"], "listable", {"listable": False})
        await s["alice"].block("blocked@localhost")
        await commands.run(s["alice"], "real-name", {"fn": "Alice Liddell"})
        for door in ("contacts", "files", "real-name"):
            await levels.open_door(s["alice"], door, *OPENED)

        async def blocks() -> bool:
            return not await by_iq(s["blocked"], Question(ALICE, "contacts", 3))

        await eventually(blocks, what="the block list is known")
        return s

    return make


@pytest.mark.parametrize("way", [by_iq, by_form, by_chat])
async def test_a_door_lets_in_those_whose_level_is_open_and_not_lower_and_nobody_else(doors, way):
    s = await doors()

    async def ask_all(asker: str) -> list[str]:
        return [
            f"{asker}: {question} answered {not question.allowed(asker)}"
            for question in QUESTIONS
            if await way(s[asker], question) != question.allowed(asker)
        ]

    wrong = [line for lines in await asyncio.gather(*map(ask_all, ASKERS)) for line in lines]
    assert wrong == []


async def test_a_real_name_shows_to_those_who_may_see_it_and_a_nickname_to_all_others(doors):
    s = await doors()
    for asker, level in ASKERS.items():
        for owner, opened in OWNERS.items():
            for payload in (f"<vCard xmlns='{levels.VCARD}'/>", f"<vcard xmlns='{levels.VCARD4}'/>"):
                answer = await s[asker].iq("get", payload, levels.face(owner))
                assert answer.get("type") == "result", xml.dump(answer)
                named = "Alice Liddell" in answer[0].itertext()
                assert named == (opened and level is not None), f"{asker} of {owner}: {xml.dump(answer)}"
                if not named:
                    assert list(answer[0].itertext()) == [owner.partition("@")[0]]


OTHER_QUERIES = [
    levels.roster_query(label="colleague"),
    levels.roster_query(3, "colleague"),
    levels.roster_query(3, page="<max>1</max>"),
    levels.roster_query(page="<max>0</max><after>nobody</after>"),
    f"<query xmlns='{xml.ROSTER}' ver=''><item jid='eve@localhost' subscription='remove'/></query>",
    f"<query xmlns='{xml.DISCO_ITEMS}' node='levels'/>",
    f"<query xmlns='{xml.DISCO_ITEMS}' node='levels/3'/>",
]
FORMS = {
    "contacts-of": {"level": "3"},
    "files-of": {"as": "level1@localhost", "send_links": True},
    "introduce": {"to": "level3@localhost", "text": "hello", "use_real_name": True},
}


async def test_every_refusal_is_the_same_but_for_its_id_and_addresses(doors):
    s = await doors()
    refused = [
        levels.same(await s[asker].iq("get", query(question.level), levels.face(question.owner)))
        for asker in ASKERS
        for question in QUESTIONS
        if not question.allowed(asker)
        for query in [levels.roster_query if question.door == "contacts" else levels.files_query]
    ]
    refused += [
        levels.same(await s[asker].iq("get", query, levels.face(owner)))
        for asker, owner in (("stranger", ALICE), ("blocked", ALICE), ("level1", "nobody@localhost"), ("level1", "closed@localhost"))
        for query in OTHER_QUERIES
    ]
    (one,) = set(refused)
    assert "forbidden" in one
    assert 'type="auth"' in one
    for node, values in FORMS.items():
        answers = [await form_refused(s[asker], node, {"owner": owner, **values}) for asker in ("stranger", "blocked") for owner in OWNERS]
        assert set(answers) == {answers[0]}
        assert "forbidden" in answers[0]
    returned = []
    for owner in OWNERS:
        await s["stranger"].message(levels.face(owner), "do you hear me?")
        error = await s["stranger"].expect(lambda each, owner=owner: xml.condition(each) and xml.sender(each) == levels.face(owner))
        returned.append(levels.same(error))
    (one,) = set(returned)
    assert "forbidden" in one


async def form_refused(client: RawClient, node: str, values: commands.Values) -> str:
    """The IQ error that a submitted form gets."""
    form = await commands.execute(client, node)
    start = client.mark()
    with pytest.raises(commands.CommandError):
        await commands.submit(client, form, values)
    (error,) = [each for each in client.received[start:] if each.get("type") == "error"]
    command = xml.child(error, "command", xml.COMMANDS)
    if command is not None:  # what was asked may come back with the error (RFC 6120, 8.3.1)
        error.remove(command)
    return levels.same(error)


REASONS = {
    "not open": ("level1", ALICE, 2),
    "level too low": ("level5", ALICE, 1),
    "no level at all": ("level1", ALICE, 6),
    "stranger": ("stranger", ALICE, 3),
    "blocked": ("blocked", ALICE, 3),
    "nothing ever opened": ("level1", "closed@localhost", 3),
    "unknown owner": ("level1", "nobody@localhost", 3),
    "owner of another server": ("level1", "alice@elsewhere.example", 3),
}
"""Why → who asks whom for which level."""


async def test_the_time_of_a_refusal_tells_nothing_of_its_reason(doors):
    roster = [Contact(f"c{number}@localhost") for number in range(3_000)]
    s = await doors(**{f"many{number}": roster for number in range(5)})
    rounds = []
    for number in range(40):
        reasons = {
            **REASONS,
            "many contacts, nothing opened": ("level1", f"many{number % 5}@localhost", 3),
            "owner never asked of": ("level1", f"nobody{number}@localhost", 3),
        }
        asked = list(reasons.items())
        random.Random(number).shuffle(asked)
        took = {}
        for reason, (asker, owner, level) in asked:
            began = time.perf_counter()
            answer = await s[asker].iq("get", levels.roster_query(level), levels.face(owner))
            took[reason] = time.perf_counter() - began
            assert xml.condition(answer) == "forbidden"
        rounds.append(took)
    medians = {reason: round(statistics.median(took[reason] for took in rounds) * 1e3, 2) for reason in rounds[0]}
    assert alike(rounds) > 1e-4, f"medians in ms: {medians}"
    first = min(took["many contacts, nothing opened"] for took in rounds[:5])
    assert first * 1e3 < 2 * max(medians.values()), "the first question about somebody with many contacts"
