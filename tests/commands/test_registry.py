"""One list of commands, and who may use which."""

import pytest

from component.commands.model import Answer, Asker, Command, Values
from component.commands.registry import Registry
from tests.commands.samples import ADMIN, ALICE, REMOTE


async def nothing(_asker: Asker, _values: Values) -> Answer:
    return Answer("")


async def nodes(registry: Registry, asker: Asker) -> list[str]:
    return [command.node for command in await registry.for_asker(asker)]


@pytest.mark.parametrize(
    "clash", [Command("settings", "", nothing), Command("always", "", nothing), Command("x", "", nothing, aliases=("levels",))]
)
def test_a_word_names_one_command(registry: Registry, clash: Command) -> None:
    with pytest.raises(ValueError, match="is taken by"):
        registry.add(clash)


async def test_everybody_sees_what_they_may_use_in_a_fixed_order(registry: Registry) -> None:
    assert await nodes(registry, ADMIN) == ["help", "settings", "levels", "fixed", "open", "virtual-users", "contacts-of"]
    assert await nodes(registry, ALICE) == ["help", "settings", "levels", "fixed", "open", "contacts-of"]
    assert await nodes(registry, REMOTE) == ["help", "contacts-of"]


@pytest.mark.parametrize(("word", "node"), [("settings", "settings"), ("Always", "fixed"), ("FIXED", "fixed")])
async def test_a_word_is_a_node_or_an_alias_in_any_case(registry: Registry, word: str, node: str) -> None:
    command = await registry.by_word(word, ALICE)
    assert command is not None
    assert command.node == node


async def test_what_an_asker_may_not_use_is_not_there(registry: Registry) -> None:
    assert await registry.by_word("virtual-users", ALICE) is None
    assert await registry.by_node("virtual-users", ALICE) is None
    assert await registry.by_word("nope", ALICE) is None


async def test_an_alias_is_no_node(registry: Registry) -> None:
    assert await registry.by_node("always", ALICE) is None


@pytest.mark.parametrize(("word", "node"), [("setings", "settings"), ("alwyas", "fixed"), ("hlp", "help"), ("virtual-users", "levels")])
async def test_the_nearest_command_is_one_that_the_asker_may_use(registry: Registry, word: str, node: str) -> None:
    assert (await registry.nearest(word, ALICE)).node == node
