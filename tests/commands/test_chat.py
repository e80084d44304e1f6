"""Chat commands: lines and replies."""

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from component.commands.chat import LONGEST_REPLY, Chat, command_line, split
from component.commands.model import Answer, Asker, Command, Row, Values
from component.commands.registry import Registry
from tests.commands.samples import ADMIN, ALICE, REMOTE, Shop


@pytest.fixture
def chat(registry: Registry) -> Chat:
    return Chat(registry)


async def test_help_lists_what_the_asker_may_use_and_nothing_else(chat: Chat) -> None:
    assert await chat.answer(REMOTE, "help") == (
        "What you can ask of me:\nhelp [COMMAND]: Lists the commands; of one command, its fields.\ncontacts-of: Contacts of another"
    )
    assert "virtual-users" in await chat.answer(ADMIN, "help")
    assert "virtual-users" not in await chat.answer(ALICE, "help")


async def test_a_very_long_word_is_not_echoed(chat: Chat) -> None:
    assert len(await chat.answer(ALICE, "&" * 100_000)) < 200


async def test_help_for_one_command_shows_its_usage_and_present_values(chat: Chat) -> None:
    assert await chat.answer(ALICE, "help settings") == (
        "Usage: settings on|off\n"
        "Sets things.\n"
        "enabled (On): off.\n"
        "window (Window): 30m.\n"
        "busy (When busy): dnd. One of: online, away, dnd.\n"
        "status (Status text): Back soon."
    )


async def test_a_mistyped_command_is_answered_with_the_nearest(chat: Chat) -> None:
    assert "Did you mean `settings on|off`?" in await chat.answer(ALICE, "setings on")


async def test_a_command_that_is_not_theirs_is_unknown_to_them(chat: Chat) -> None:
    assert "virtual-users`?" not in await chat.answer(ALICE, "virtual-users")
    assert (await chat.answer(ALICE, "virtual-users")).startswith("I don't know `virtual-users`.")


@pytest.mark.parametrize(
    ("line", "enabled"), [("settings on", True), ("Settings ON", True), ("/settings yes", True), ("settings off", False)]
)
async def test_a_lone_word_fills_the_first_field(chat: Chat, shop: Shop, line: str, enabled: bool) -> None:
    shop.enabled = not enabled
    assert await chat.answer(ALICE, line) == "Saved."
    assert shop.enabled is enabled


async def test_words_change_only_the_fields_that_they_name(chat: Chat, shop: Shop) -> None:
    await chat.answer(ALICE, "settings on window=5m")
    assert (shop.enabled, shop.window, shop.busy, shop.status) == (True, 300.0, "dnd", "Back soon")


async def test_a_field_is_emptied_by_its_name_alone(chat: Chat, shop: Shop) -> None:
    await chat.answer(ALICE, "settings status=")
    assert shop.status is None


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("always bob@example.org dnd", {"who": "bob@example.org", "outcome": "dnd", "for": None}),
        ("always bob@example.org dnd 2h", {"who": "bob@example.org", "outcome": "dnd", "for": 7200.0}),
        ("fixed outcome=away bob@example.org", {"who": "bob@example.org", "outcome": "away", "for": None}),
        ('always "group:Work Mates" away', {"who": "group:Work Mates", "outcome": "away", "for": None}),
        ("always 'group:Work Mates' away", {"who": "group:Work Mates", "outcome": "away", "for": None}),
        ('always group:"Work Mates" away', {"who": "group:Work Mates", "outcome": "away", "for": None}),
        ("always who='group:Work Mates' away", {"who": "group:Work Mates", "outcome": "away", "for": None}),
        ("always “group:Work Mates” away", {"who": "group:Work Mates", "outcome": "away", "for": None}),
        ("always a=b@x.org away", {"who": "a=b@x.org", "outcome": "away", "for": None}),
        ("always o\\27neil@x.org away", {"who": "o\\27neil@x.org", "outcome": "away", "for": None}),
    ],
)
async def test_words_fill_the_fields_in_order(chat: Chat, shop: Shop, line: str, values: Values) -> None:
    assert (await chat.answer(ALICE, line)).endswith(f"sees {values['outcome']}.")
    assert shop.ran == [("fixed", values)]


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("always bob@example.org busy", "Always sees (outcome): 'busy' is none of online, away, dnd\nUsage: fixed WHO OUTCOME FOR"),
        ("always bob@example.org", "Always sees (outcome): it is needed\nUsage: fixed WHO OUTCOME FOR"),
        ("always bob@example.org dnd soon", "For (for): 'soon' is no duration: write it like '30m', '1h30m', '2s' or '1d'\n"),
        ("always bob@example.org dnd 2h please", "please: I don't know what this is for\nUsage: fixed WHO OUTCOME FOR"),
        ("always stranger@example.org dnd", "Contact (who): that is no contact of yours\nUsage: fixed WHO OUTCOME FOR"),
        ("settings windw=5m", "windw: there is no such field, only busy, enabled, status, window\nUsage: settings on|off"),
        ("levels all=yes", "all: there are no fields\nUsage: levels"),
        ("settings window=31d", "Window (window): 31d is too much: between 1s and 30d\nUsage: settings on|off"),
        ("contacts-of", "You may not do that."),
    ],
)
async def test_what_cannot_be_taken_is_answered_with_the_reason_and_the_usage(chat: Chat, shop: Shop, line: str, reply: str) -> None:
    assert (await chat.answer(ALICE, line)).startswith(reply)
    assert shop.ran == []


async def test_a_command_that_needs_words_shows_its_usage_without_them(chat: Chat, shop: Shop) -> None:
    assert (await chat.answer(ALICE, "always")).startswith("Usage: fixed WHO OUTCOME FOR\nwho (Contact): none.")
    assert shop.ran == []


async def test_a_table_comes_as_lines(chat: Chat) -> None:
    assert await chat.answer(ALICE, "levels") == "Two contacts.\nbob@example.org: level 1, score 41.5\n<&>: level 5"


async def test_the_last_field_takes_the_words_that_are_left(chat: Chat, shop: Shop) -> None:
    await chat.answer(ALICE, "open contacts 3 1 confirm=yes")
    assert shop.ran == [("open", {"door": "contacts", "levels": ("1", "3"), "confirm": True})]


async def test_a_question_says_how_to_say_yes_and_that_works(chat: Chat, shop: Shop) -> None:
    reply = await chat.answer(ALICE, "open contacts 1,3")
    assert reply == "Three contacts gain by it.\nTo go on, write: open contacts 1,3 confirm=yes"
    assert shop.ran == []
    assert await chat.answer(ALICE, reply.partition("write: ")[2]) == "Opened."


async def test_no_to_the_question_is_an_answer_too(chat: Chat) -> None:
    assert await chat.answer(ALICE, "open contacts 1,3 confirm=no") == "Nothing was changed."


async def test_without_the_link_the_reply_says_so(chat: Chat, shop: Shop) -> None:
    shop.link_down = True
    assert "does not answer just now" in await chat.answer(ALICE, "levels")


async def test_a_long_table_is_cut_and_says_so() -> None:
    async def long(_asker: Asker, _values: Values) -> Answer:
        return Answer("Many.", [Row(f"contact{n:05}@example.org", "level 5") for n in range(5000)])

    reply = await Chat(Registry([Command("levels", "Levels", long)])).answer(ALICE, "levels")
    assert len(reply) <= LONGEST_REPLY + 40
    assert reply.endswith(" more.")
    assert int(reply.rsplit(" ", 2)[1]) + reply.count("contact") == 5000


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  a \n b ", ["a", "b"]),
        ("it's Ann's", ["it's", "Ann's"]),
        ('say "it\'s"', ["say", "it's"]),
        ('an odd " quote', ["an", "odd", '"', "quote"]),
        ("status='Back soon'", ["status=Back soon"]),
        ('status=""', ["status="]),
        ("'a'b", ["'a'b"]),
    ],
)
def test_quotes_hold_words_together_and_odd_ones_stand_for_themselves(line: str, words: list[str]) -> None:
    assert split(line) == words


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("<message type='chat'><body>help</body></message>", "help"),
        ("<message><body> help </body></message>", "help"),
        ("<message type='chat'><body xml:lang='de'>hilfe</body><body>help</body></message>", "help"),
        ("<message type='chat'><body/></message>", None),
        ("<message type='unheard-of'><body>help</body></message>", "help"),
        ("<message type='chat'><received xmlns='urn:xmpp:receipts' id='1'/></message>", None),
        ("<message type='chat'><body>help</body><delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/></message>", None),
        ("<message type='chat'><body>help</body><x xmlns='jabber:x:delay' stamp='20200101T00:00:00'/></message>", None),
    ],
)
def test_only_a_fresh_message_with_a_text_is_a_command(message: str, line: str | None) -> None:
    assert command_line(fromstring(message.replace("<message", "<message xmlns='jabber:component:accept'", 1))) == line


pieces = st.sampled_from(
    [
        "settings",
        "always",
        "open",
        "levels",
        "help",
        "on",
        "off",
        "=",
        "status=",
        "window=",
        "5m",
        "dnd",
        "'",
        '"',
        " ",
        "\n",
        "bob@x",
        "\x00",
        "/",
        "🙌",
    ]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(pieces, max_size=8).map("".join))
async def test_any_line_gets_a_reply(chat: Chat, line: str) -> None:
    assert await chat.answer(ALICE, line)
