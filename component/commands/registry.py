"""All commands in one list: the ad-hoc nodes, the chat words, the command line and `help` are read from it."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from component.commands.model import Answer, Ask, Asker, BadField, Command, Field, Row, Values, anyone
from component.commands.values import Texts, parse

LONGEST_REASON = 400
"""In characters: a reason may quote what was typed, and stands twice in a form."""
LINK_DOWN = "The server's Rapport module does not answer just now. Please try again in a moment."


class Registry:
    """The commands, in the order in which they were added. `help` is there from the start."""

    def __init__(self, commands: Iterable[Command] = ()) -> None:
        self._commands: list[Command] = []
        self._by_word: dict[str, Command] = {}
        self.add(
            Command(
                node="help",
                title="Help",
                run=self._help,
                may=anyone,
                usage="help [COMMAND]",
                help="Lists the commands; of one command, its fields.",
                examples=["help", "help presence"],
            )
        )
        for command in commands:
            self.add(command)

    def add(self, command: Command) -> None:
        """Raises ValueError if another command has the node or an alias already."""
        for word in (command.node, *command.aliases):
            if word in self._by_word:
                raise ValueError(f"command {command.node}: {word} is taken by {self._by_word[word].node}")
            self._by_word[word] = command
        self._commands.append(command)

    async def for_asker(self, asker: Asker) -> Sequence[Command]:
        """The commands that this asker may use."""
        return [command for command in self._commands if await command.may(asker)]

    async def by_node(self, node: str, asker: Asker) -> Command | None:
        """The command of an ad-hoc node; None if there is none that this asker may use."""
        command = self._by_word.get(node)
        if command is None or command.node != node or not await command.may(asker):
            return None
        return command

    async def by_word(self, word: str, asker: Asker) -> Command | None:
        """The command that a chat word means, node or alias in any case; None if there is none that this asker may use."""
        command = self._by_word.get(word.lower())
        return command if command is not None and await command.may(asker) else None

    async def nearest(self, word: str, asker: Asker) -> Command:
        """The command whose node or alias is most like a mistyped word, of those that this asker may use."""
        words = {word: command for command in await self.for_asker(asker) for word in (command.node, *command.aliases)}
        return words[difflib.get_close_matches(word.lower(), words, n=1, cutoff=0.0)[0]]

    async def _help(self, asker: Asker, _values: Values) -> Answer:
        rows = [Row(usage(command), command.help or command.title) for command in await self.for_asker(asker)]
        return Answer("What you can ask of me:", rows)


def usage(command: Command) -> str:
    """How the command is written in the chat."""
    return command.usage or " ".join([command.node, *(word.upper() for word in command.words)])


def complaint(fields: Sequence[Field], error: BadField) -> str:
    """What is wrong with a value, naming its field as the form does and by its name."""
    label = next((field.label for field in fields if field.name == error.name), error.name)
    named = label if label == error.name else f"{label} ({error.name})"
    reason = error.reason if len(error.reason) <= LONGEST_REASON else f"{error.reason[:LONGEST_REASON]}…"
    return f"{named}: {reason}"


async def carry_out(command: Command, fields: Sequence[Field], asker: Asker, texts: Texts) -> Answer | Ask:
    """Run a command for a face without a second form: what an `Ask` asks is looked for among the same texts.

    Fields that are not named stay as they are. Raises BadField, also for a name that no field has, and what the command raises.
    """
    names = [field.name for field in (*fields, *command.asks)]
    for name in texts:
        if name not in names:
            raise BadField(name, f"there is no such field, only {', '.join(names)}" if names else "there are no fields")
    values: Mapping[str, Any] = parse(fields, texts, whole=False)
    outcome = await command.run(asker, values)
    while isinstance(outcome, Ask):
        asked = [field for field in outcome.fields if field.name not in values]
        if not any(field.name in texts for field in asked):
            return outcome
        values = {**values, **parse(asked, texts, whole=False)}
        outcome = await command.run(asker, values)
    return outcome
