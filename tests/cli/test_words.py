import pytest

from component.cli.words import Command, Field, Mistyped, described, texts, unknown, usage


def field(name: str, type_: str = "text-single", *options: str, required: bool = False) -> Field:
    return Field(name, name.capitalize(), type_, required, options, "")


USERS = Command(
    "virtual-users",
    "Virtual users",
    "Lists and changes virtual users.",
    (
        field("node"),
        field("action", "list-single", "list", "add", "edit", "remove", required=True),
        field("name"),
        field("when_offline", "list-single", "queue", "bounce"),
        field("available_shows", "list-multi", "online", "chat", "away"),
        field("attributes", "text-multi"),
        field("paused", "boolean"),
    ),
)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {}),
        (["list"], {"action": ["list"]}),
        (["add", "--node", "shop", "--name", "The Bookshop"], {"action": ["add"], "node": ["shop"], "name": ["The Bookshop"]}),
        (["--node=shop", "--name=a=b", "add"], {"action": ["add"], "node": ["shop"], "name": ["a=b"]}),
        (["add", "shop", "The Bookshop"], {"action": ["add"], "node": ["shop"], "name": ["The Bookshop"]}),
        (["--action", "add", "shop"], {"action": ["add"], "node": ["shop"]}),
        (["--when-offline", "bounce"], {"when_offline": ["bounce"]}),
        (["--when_offline", "bounce"], {"when_offline": ["bounce"]}),
        (["--available-shows", "online,chat", "--available-shows", "away"], {"available_shows": ["online", "chat", "away"]}),
        (["--available-shows", "away", "online", "edit"], {"available_shows": ["away", "online"], "action": ["edit"]}),
        (
            ["edit", "shop", "Shop", "queue", "away", "online", "level=senior"],
            {
                "action": ["edit"],
                "node": ["shop"],
                "name": ["Shop"],
                "when_offline": ["queue"],
                "available_shows": ["away", "online"],
                "attributes": ["level=senior"],
            },
        ),
        (["--attributes", "language=de, en", "--attributes", "level=senior"], {"attributes": ["language=de, en", "level=senior"]}),
        (["--paused", "--node", "shop"], {"paused": ["true"], "node": ["shop"]}),
        (["--paused", "no"], {"paused": ["no"]}),
        (["--name", "--odd--"], {"name": ["--odd--"]}),
        (["--name", ""], {"name": [""]}),
        (["--node", "-33.9"], {"node": ["-33.9"]}),
    ],
)
def test_words_become_values(words: list[str], values: dict[str, list[str]]) -> None:
    assert texts(USERS, words) == values


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--nod", "shop"], "no --nod: --node is meant"),
        (["--colour", "red"], "no --colour"),
        (["add", "--node"], "--node needs a value"),
        (["add", "a", "b", "queue", "online", "x=y", "true", "more"], "'more' is one word too many"),
    ],
)
def test_words_that_fit_nothing_are_refused(words: list[str], reason: str) -> None:
    with pytest.raises(Mistyped, match=reason):
        texts(USERS, words)


def test_usage_and_fields_are_made_from_what_the_component_says() -> None:
    assert usage(USERS).startswith("rapport admin virtual-users list|add|edit|remove [--node NODE] [--name NAME]")
    assert ("--when-offline", "When_offline; one of queue, bounce") in described(USERS.fields)


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    assert "'virtual-users' is meant" in unknown("virtual-user", ["presence", "virtual-users"])
    assert "--help" in unknown("xyzzy", ["presence", "virtual-users"])


def test_a_command_is_read_from_what_the_component_says() -> None:
    said = {
        "node": "presence",
        "title": "Presence rules",
        "help": "Turns them on.",
        "usage": "presence on|off",
        "fields": [
            {"name": "talking", "label": "Talking", "type": "list-single", "required": True, "options": [["away", "Away"]], "help": ""},
        ],
    }
    command = Command.of(said)
    assert command.fields == (Field("talking", "Talking", "list-single", True, ("away",), ""),)
    assert command.problem == ""
    assert Command.of({**said, "fields": [], "error": "the link is down"}).problem == "the link is down"
