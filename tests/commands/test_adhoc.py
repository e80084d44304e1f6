"""Ad-hoc commands as clients give them: stanzas in, stanzas out."""

import asyncio
from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element, SubElement, fromstring, tostring

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from component.commands.adhoc import LIFETIME, SESSIONS_OF_ONE, TABLE_BYTES, Adhoc
from component.commands.model import Answer, Ask, Asker, Command, Field, Refused, Row, Type, Values
from component.commands.registry import Registry
from component.ports import LinkDown, StanzaError
from stanzas.namespaces import ADHOC
from tests.commands.samples import ADMIN, ALICE, BOB, REMOTE, Shop
from tests.fakes import FakeClock

C = f"{{{ADHOC}}}"
X = "{jabber:x:data}"
INFO = "{http://jabber.org/protocol/disco#info}"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def adhoc(registry: Registry, clock: FakeClock) -> Adhoc:
    return Adhoc(registry, clock.now)


def command(node: str, session: str | None = None, action: str | None = None, x: Element | None = None) -> Element:
    iq = Element("{jabber:component:accept}iq", {"type": "set", "id": "i1"})
    attributes = {"node": node, "sessionid": session, "action": action}
    asked = SubElement(iq, f"{C}command", {name: value for name, value in attributes.items() if value is not None})
    if x is not None:
        asked.append(x)
    return iq


def submit(kind: str = "submit", /, **values: str | Sequence[str]) -> Element:
    x = Element(f"{X}x", {"type": kind})
    for var, given_values in values.items():
        field = SubElement(x, f"{X}field", {"var": var})
        for value in [given_values] if isinstance(given_values, str) else given_values:
            SubElement(field, f"{X}value").text = value
    return x


def values_of(reply: Element) -> Mapping[str | None, list[str]]:
    return {field.get("var"): [value.text or "" for value in field.findall(f"{X}value")] for field in reply.iter(f"{X}field")}


def text(reply: Element, path: str) -> str | None:
    return reply.findtext(path)


def part(reply: Element, path: str) -> Element:
    found = reply.find(path)
    assert found is not None
    return found


def written(x: Element) -> str:
    """A form as XML, without its namespace."""
    return tostring(x).decode().replace(' xmlns:ns0="jabber:x:data"', "").replace("ns0:", "")


class Talk:
    """One client's side of a command."""

    def __init__(self, adhoc: Adhoc, node: str, asker: Asker = ALICE) -> None:
        self._adhoc = adhoc
        self._node = node
        self._asker = asker
        self.session: str | None = None

    async def say(self, action: str | None = None, x: Element | None = None) -> Element:
        reply = await self._adhoc.handle(self._asker, command(self._node, self.session, action, x))
        self.session = reply.get("sessionid")
        return reply

    async def submit(self, **values: str | Sequence[str]) -> Element:
        return await self.say("complete", submit("submit", **values))


async def error_of(talk: Talk, action: str | None = None, x: Element | None = None) -> tuple[str, str | None]:
    with pytest.raises(StanzaError) as refusal:
        await talk.say(action, x)
    app = refusal.value.app
    return refusal.value.condition, None if app is None else app.tag.removeprefix(C)


async def test_a_form_has_all_that_clients_need(adhoc: Adhoc) -> None:
    reply = await Talk(adhoc, "settings").say("execute")
    assert reply.get("status") == "executing"
    assert reply.get("node") == "settings"
    session = reply.attrib.pop("sessionid")
    assert len(session) >= 20
    assert part(reply, f"{C}actions").attrib == {"execute": "complete"}
    assert [action.tag for action in part(reply, f"{C}actions")] == [f"{C}complete"]
    assert written(part(reply, f"{X}x")) == (
        '<x type="form"><title>Settings</title><instructions>Sets things.</instructions>'
        '<field var="FORM_TYPE" type="hidden"><value>urn:x-rapport:settings:0</value></field>'
        '<field var="enabled" type="boolean" label="On"><required /><value>0</value></field>'
        '<field var="window" type="text-single" label="Window"><required /><value>30m</value></field>'
        '<field var="busy" type="list-single" label="When busy"><required /><value>dnd</value>'
        '<option label="Online"><value>online</value></option><option label="Away"><value>away</value></option>'
        '<option label="Do not disturb"><value>dnd</value></option></field>'
        '<field var="status" type="text-single" label="Status text"><value>Back soon</value></field></x>'
    )


CONVERSE = submit(FORM_TYPE="urn:x-rapport:settings:0", enabled="1", window="5m", busy="away", status="")
PROFANITY = submit(enabled="true", window="5m", busy="away", status="")
GAJIM = fromstring(
    "<x xmlns='jabber:x:data' type='submit'><title>Settings</title><instructions>Sets things.</instructions><field type='fixed'>"
    "<value>A heading</value></field><field var='FORM_TYPE' type='hidden'><value>urn:x-rapport:settings:0</value></field>"
    "<field var='enabled' type='boolean' label='On'><required/><value>true</value></field>"
    "<field var='window' type='text-single' label='Window'><desc>How long</desc><value>5m</value></field>"
    "<field var='busy' type='list-single' label='When busy'><value>away</value><option label='Online'><value>online</value></option>"
    "<option label='Away'><value>away</value></option></field><field var='status' type='text-single' label='Status text'/></x>"
)
EXTRA = submit(enabled="on", window="5m", busy="away", nonsense="\x7f", status=[])


@pytest.mark.parametrize(
    ("action", "x"), [("complete", CONVERSE), (None, PROFANITY), ("complete", GAJIM), ("execute", EXTRA), ("next", PROFANITY)]
)
async def test_what_each_client_submits_is_taken(adhoc: Adhoc, shop: Shop, action: str | None, x: Element) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    reply = await talk.say(action, x)
    assert reply.get("status") == "completed"
    assert part(reply, f"{C}note").attrib == {"type": "info"}
    assert text(reply, f"{C}note") == "Saved."
    assert (shop.enabled, shop.window, shop.busy, shop.status) == (True, 300.0, "away", None)


async def test_a_field_left_out_is_unchanged_if_it_cannot_be_empty_and_else_empty(adhoc: Adhoc, shop: Shop) -> None:
    shop.enabled = True
    talk = Talk(adhoc, "settings")
    await talk.say()
    await talk.submit(window="5m")
    assert (shop.enabled, shop.window, shop.busy, shop.status) == (True, 300.0, "dnd", None)


async def test_unchanged_means_as_it_is_now_not_as_it_was_in_the_form(adhoc: Adhoc, shop: Shop) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    shop.window = 7.0
    await talk.submit(enabled="1")
    assert shop.window == 7.0


async def test_a_wrong_value_brings_the_form_back_with_what_was_typed_and_the_reason(adhoc: Adhoc, shop: Shop) -> None:
    talk = Talk(adhoc, "settings")
    session = (await talk.say()).get("sessionid")
    reply = await talk.submit(enabled="1", window="soon", busy="gone")
    reason = "Window (window): 'soon' is no duration: write it like '30m', '1h30m', '2s' or '1d'"
    assert (reply.get("status"), reply.get("sessionid")) == ("executing", session)
    assert text(reply, f"{X}x/{X}instructions") == reason
    assert (part(reply, f"{C}note").attrib, text(reply, f"{C}note")) == ({"type": "error"}, reason)
    assert values_of(reply) == {
        "FORM_TYPE": ["urn:x-rapport:settings:0"],
        "enabled": ["1"],
        "window": ["soon"],
        "busy": ["dnd"],
        "status": [],
    }
    assert shop.ran == []
    assert (await talk.submit(enabled="1", window="5m")).get("status") == "completed"


async def test_a_very_long_wrong_value_is_not_quoted_in_full(adhoc: Adhoc) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    assert len(tostring(await talk.submit(window="x" * 100_000))) < 110_000


async def test_what_the_command_itself_cannot_take_brings_the_form_back_too(adhoc: Adhoc) -> None:
    talk = Talk(adhoc, "fixed")
    await talk.say()
    reply = await talk.submit(who="stranger@example.org", outcome="dnd")
    assert text(reply, f"{C}note") == "Contact (who): that is no contact of yours"
    assert values_of(reply)["who"] == ["stranger@example.org"]


async def test_a_choice_that_may_be_empty_has_an_option_for_that_which_is_chosen(registry: Registry, clock: FakeClock) -> None:
    async def fields(_asker: Asker) -> Sequence[Field]:
        return [Field("level", "Level", Type.CHOICE, options=[("1", "closest")])]

    async def run(_asker: Asker, values: Values) -> Answer:
        return Answer(f"Level {values['level']}.")

    registry.add(Command("label", "Label", run, fields))
    talk = Talk(Adhoc(registry, clock.now), "label")
    reply = await talk.say()
    assert [option.findtext(f"{X}value") for option in reply.iter(f"{X}option")] == ["none", "1"]
    assert values_of(reply)["level"] == ["none"]
    assert text(await talk.submit(level="none"), f"{C}note") == "Level None."


async def test_choices_whose_order_counts_are_lines_and_a_wrong_one_comes_back_in_its_place(registry: Registry, clock: FakeClock) -> None:
    async def fields(_asker: Asker) -> Sequence[Field]:
        options = [(name, name.title()) for name in ("latest", "nearest", "random")]
        return [Field("policy", "Policies", Type.CHOICES, ("random", "latest"), options=options, ordered=True)]

    async def run(_asker: Asker, values: Values) -> Answer:
        return Answer(" ".join(values["policy"]))

    registry.add(Command("policy", "Policy", run, fields))
    talk = Talk(Adhoc(registry, clock.now), "policy")
    assert written(part(await talk.say(), f"{X}x/{X}field[@var='policy']")) == (
        '<field var="policy" type="text-multi" label="Policies"><desc>One a line, of: latest, nearest, random.</desc>'
        "<value>random</value><value>latest</value></field>"
    )
    reply = await talk.submit(policy=["random", "luck"])
    assert values_of(reply)["policy"] == ["random", "luck"]
    assert text(await talk.submit(policy=["random", "nearest"]), f"{C}note") == "random nearest"


async def test_a_command_without_fields_answers_at_once_with_a_field_per_row(adhoc: Adhoc) -> None:
    reply = await Talk(adhoc, "levels").say()
    assert reply.get("status") == "completed"
    assert reply.get("sessionid")
    assert text(reply, f"{C}note") == "Two contacts."
    assert written(part(reply, f"{X}x")) == (
        '<x type="result"><title>Levels</title>'
        '<field var="row1" type="text-single" label="bob@example.org"><value>level 1, score 41.5</value></field>'
        '<field var="row2" type="text-single" label="&lt;&amp;&gt;"><value>level 5</value></field></x>'
    )


async def test_the_rows_that_answer_a_form_come_after_its_text_fields_which_are_hidden(registry: Registry, clock: FakeClock) -> None:
    async def fields(_asker: Asker) -> Sequence[Field]:
        kind = Field("kind", "Kind", Type.CHOICE, options=[("open", "Open"), ("done", "Done")])
        return (kind, Field("customer", "Customer", Type.JID), Field("notes", "Notes", Type.LINES))

    async def run(_asker: Asker, values: Values) -> Answer:
        return Answer("One order.", [Row("First", f"for {values['customer']}")])

    registry.add(Command("orders", "Orders", run, fields))
    talk = Talk(Adhoc(registry, clock.now), "orders")
    await talk.say()
    reply = await talk.submit(customer="bob@example.org")
    assert written(part(reply, f"{X}x")) == (
        '<x type="result"><title>Orders</title>'
        '<field var="FORM_TYPE" type="hidden"><value>urn:x-rapport:orders:0</value></field>'
        '<field var="kind" type="hidden" /><field var="customer" type="hidden" />'
        '<field var="row1" type="text-single" label="First"><value>for bob@example.org</value></field></x>'
    )


async def test_a_table_too_long_for_a_stanza_is_cut_and_says_so(registry: Registry, clock: FakeClock) -> None:
    async def many(_asker: Asker, _values: Values) -> Answer:
        return Answer("Many.", [Row(f"contact{n}@example.org", "level 5, score 0.0") for n in range(9000)])

    registry.add(Command("many", "Many", many))
    reply = await Talk(Adhoc(registry, clock.now), "many").say()
    shown = len(list(reply.iter(f"{X}field")))
    assert 1000 < shown < 9000
    assert len(tostring(reply)) < 2 * TABLE_BYTES
    assert text(reply, f"{C}note") == f"Many. (The first {shown} of 9000 rows.)"


async def test_a_question_is_a_second_form_with_a_way_back(adhoc: Adhoc, shop: Shop) -> None:
    talk = Talk(adhoc, "open")
    await talk.say()
    reply = await talk.submit(door="files", levels=["3", "1"])
    assert [action.tag for action in part(reply, f"{C}actions")] == [f"{C}prev", f"{C}complete"]
    assert text(reply, f"{X}x/{X}instructions") == "Three contacts gain by it."
    assert values_of(reply)["confirm"] == ["0"]
    back = await talk.say("prev")
    assert values_of(back)["levels"] == ["1", "3"]
    assert [action.tag for action in part(back, f"{C}actions")] == [f"{C}complete"]
    await talk.submit(door="files", levels=["1"])
    assert text(await talk.submit(confirm="true"), f"{C}note") == "Opened."
    assert shop.ran == [("open", {"door": "files", "levels": ("1",), "confirm": True})]


async def test_a_late_complaint_about_the_first_form_brings_that_one_back(adhoc: Adhoc) -> None:
    talk = Talk(adhoc, "open")
    await talk.say()
    await talk.submit(door="files", levels=["5"])
    reply = await talk.submit(confirm="1")
    assert text(reply, f"{X}x/{X}instructions") == "Levels (levels): level 5 can't be opened"
    assert values_of(reply)["levels"] == ["5"]


@pytest.mark.parametrize(("action", "kind"), [("cancel", None), ("cancel", "submit"), (None, "cancel"), ("complete", "cancel")])
async def test_a_cancelled_command_changes_nothing_and_ends(adhoc: Adhoc, shop: Shop, action: str | None, kind: str | None) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    reply = await talk.say(action, None if kind is None else submit(kind, enabled="1"))
    assert (reply.get("status"), len(reply)) == ("canceled", 0)
    assert shop.ran == []
    assert await error_of(talk, "complete", submit(enabled="1")) == ("not-allowed", "session-expired")


@pytest.mark.parametrize(
    ("session", "action", "x"),
    [
        (None, "complete", None),
        (None, None, submit(enabled="1")),
        (None, "cancel", None),
        (None, "prev", None),
        ("", None, None),
        ("nonsense", "complete", submit(enabled="1")),
        ("nonsense", None, None),
    ],
)
async def test_without_a_session_of_ours_nothing_goes_on(adhoc: Adhoc, session: str | None, action: str | None, x: Element | None) -> None:
    talk = Talk(adhoc, "settings")
    talk.session = session
    assert await error_of(talk, action, x) == ("bad-request", "bad-sessionid")


async def test_a_session_is_its_openers_alone(adhoc: Adhoc, shop: Shop) -> None:
    alices, bobs = Talk(adhoc, "settings"), Talk(adhoc, "settings", BOB)
    await alices.say()
    bobs.session = alices.session
    assert await error_of(bobs, "complete", submit(enabled="1")) == ("bad-request", "bad-sessionid")
    other_resource = Talk(adhoc, "settings", Asker("alice@example.org/desk", "alice@example.org", admin=False, local=True))
    other_resource.session = alices.session
    assert await error_of(other_resource, "cancel") == ("bad-request", "bad-sessionid")
    assert shop.ran == []
    assert (await alices.submit(enabled="1")).get("status") == "completed"


async def test_a_session_belongs_to_its_command(adhoc: Adhoc) -> None:
    talk, other = Talk(adhoc, "settings"), Talk(adhoc, "fixed")
    await talk.say()
    other.session = talk.session
    assert await error_of(other, "complete", submit()) == ("bad-request", "bad-sessionid")


async def test_a_session_ends_after_ten_minutes(adhoc: Adhoc, clock: FakeClock, shop: Shop) -> None:
    early, late = Talk(adhoc, "settings"), Talk(adhoc, "settings")
    await early.say()
    await late.say()
    clock.run(LIFETIME - 1)
    await early.submit(enabled="1")
    clock.run(1)
    assert await error_of(late, "complete", submit(enabled="0")) == ("not-allowed", "session-expired")
    assert len(shop.ran) == 1


async def test_a_completed_session_is_over(adhoc: Adhoc) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    await talk.submit(enabled="1")
    assert await error_of(talk, "complete", submit(enabled="1")) == ("not-allowed", "session-expired")


async def test_a_form_submitted_twice_at_once_is_carried_out_once(adhoc: Adhoc, shop: Shop) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    twice = await asyncio.gather(talk.submit(enabled="1"), talk.submit(enabled="1"), return_exceptions=True)
    assert len(shop.ran) == 1
    assert [isinstance(one, StanzaError) for one in twice] == [False, True]


async def test_an_askers_oldest_session_goes_when_they_open_too_many(adhoc: Adhoc) -> None:
    talks = [Talk(adhoc, "settings") for _ in range(SESSIONS_OF_ONE + 1)]
    others = Talk(adhoc, "settings", BOB)
    await others.say()
    for talk in talks:
        await talk.say()
    assert await error_of(talks[0], "complete", submit()) == ("bad-request", "bad-sessionid")
    assert (await talks[1].submit()).get("status") == "completed"
    assert (await others.submit()).get("status") == "completed"


@pytest.mark.parametrize(
    ("action", "x", "error"),
    [
        ("prev", None, "bad-action"),
        ("dance", None, "malformed-action"),
        ("complete", None, "bad-payload"),
        (None, None, "bad-payload"),
    ],
)
async def test_a_step_that_cannot_be_taken_leaves_the_session_as_it_is(
    adhoc: Adhoc, action: str | None, x: Element | None, error: str
) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    assert await error_of(talk, action, x) == ("bad-request", error)
    assert (await talk.submit(enabled="1")).get("status") == "completed"


@pytest.mark.parametrize(("node", "asker"), [("nope", ALICE), ("", ALICE), ("always", ALICE), ("virtual-users", ALICE), ("levels", REMOTE)])
async def test_a_command_that_is_not_there_and_one_that_is_not_theirs_look_the_same(adhoc: Adhoc, node: str, asker: Asker) -> None:
    assert await error_of(Talk(adhoc, node, asker)) == ("item-not-found", None)
    with pytest.raises(StanzaError) as refusal:
        await adhoc.info(asker, node)
    assert refusal.value.condition == "item-not-found"


async def test_a_refusal_of_the_command_goes_through(adhoc: Adhoc) -> None:
    with pytest.raises(Refused):
        await Talk(adhoc, "contacts-of", REMOTE).say()


async def test_without_the_link_the_form_comes_back_and_can_be_sent_again(adhoc: Adhoc, shop: Shop) -> None:
    talk = Talk(adhoc, "settings")
    await talk.say()
    shop.link_down = True
    reply = await talk.submit(enabled="1", window="5m")
    assert "does not answer just now" in (text(reply, f"{C}note") or "")
    assert values_of(reply)["window"] == ["5m"]
    shop.link_down = False
    assert (await talk.submit(enabled="1", window="5m")).get("status") == "completed"


async def test_without_the_link_a_command_without_fields_ends_with_an_error_note(adhoc: Adhoc, shop: Shop) -> None:
    shop.link_down = True
    reply = await Talk(adhoc, "levels").say()
    assert (reply.get("status"), part(reply, f"{C}note").attrib) == ("completed", {"type": "error"})


async def test_a_form_that_cannot_be_made_without_the_link_says_so_to_the_caller(registry: Registry, clock: FakeClock) -> None:
    async def fields(_asker: Asker) -> Sequence[Field]:
        raise LinkDown

    async def run(_asker: Asker, _values: Values) -> Answer | Ask:
        return Answer("")

    registry.add(Command("roster", "Roster", run, fields))
    with pytest.raises(LinkDown):
        await Talk(Adhoc(registry, clock.now), "roster").say()


async def test_an_iq_without_a_command_is_a_bad_request(adhoc: Adhoc) -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        await adhoc.handle(ALICE, Element("{jabber:component:accept}iq", {"type": "set"}))


async def test_the_list_of_commands_is_what_the_asker_may_use(adhoc: Adhoc) -> None:
    items = await adhoc.items(ADMIN, "rapport.example.org")
    assert items.get("node") == ADHOC
    assert [item.get("node") for item in items] == ["help", "settings", "levels", "fixed", "open", "virtual-users", "contacts-of"]
    assert items[1].attrib == {"jid": "rapport.example.org", "node": "settings", "name": "Settings"}
    assert [item.get("node") for item in await adhoc.items(REMOTE, "rapport.example.org")] == ["help", "contacts-of"]


@pytest.mark.parametrize(
    ("node", "kind", "features"),
    [("settings", "command-node", {ADHOC, "jabber:x:data"}), (ADHOC, "command-list", {ADHOC})],
)
async def test_a_node_says_what_it_is(adhoc: Adhoc, node: str, kind: str, features: set[str]) -> None:
    query = await adhoc.info(ALICE, node)
    identity = query.find(f"{INFO}identity")
    assert identity is not None
    assert (identity.get("category"), identity.get("type")) == ("automation", kind)
    assert {feature.get("var") for feature in query.findall(f"{INFO}feature")} == features


names = st.sampled_from(["enabled", "window", "busy", "status", "door", "levels", "confirm", "who", "FORM_TYPE", "x", ""])
texts = st.one_of(
    st.sampled_from(["1", "true", "5m", "dnd", "files", "", "bob@example.org"]), st.text(st.sampled_from("ab \n@/\x01🙌"), max_size=5)
)
forms = st.builds(
    lambda kind, given_values: submit(kind, **given_values),
    st.sampled_from(["submit", "cancel", "form", "result", ""]),
    st.dictionaries(names, st.lists(texts, max_size=2), max_size=5),
)
steps = st.lists(
    st.tuples(st.sampled_from([None, "execute", "complete", "next", "prev", "cancel", "dance"]), st.one_of(st.none(), forms)), max_size=5
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["settings", "open", "fixed", "levels", "help", "contacts-of", "nope"]), st.booleans(), steps)
async def test_any_course_of_steps_is_answered(
    adhoc: Adhoc, node: str, begun: bool, course: list[tuple[str | None, Element | None]]
) -> None:
    talk = Talk(adhoc, node)
    for action, x in [(None, None), *course] if begun else course:
        try:
            reply = await talk.say(action, x)
        except (StanzaError, Refused):
            continue
        assert reply.get("status") in ("executing", "completed", "canceled")
        assert fromstring(tostring(reply)).tag == f"{C}command"
