"""`rapport admin NODE [ACTION] [VALUE…] [--FIELD VALUE…]`: words of the command line → a command's values. Pure.

Which commands and fields there are is said by the running component (`GET /commands`): there is no second list of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

ACTION = "action"
"""The field that the first word after the node fills, where a command has it."""


class Mistyped(Exception):
    """The words are no call of this command; the reason."""


@dataclass(frozen=True)
class Field:
    name: str
    label: str
    type: str
    """A component.commands.model.Type's value."""
    required: bool
    options: tuple[str, ...]
    help: str

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """A field as the component describes it."""
        options = tuple(value for value, _label in said["options"])
        return cls(said["name"], said["label"], said["type"], said["required"], options, said["help"])

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")


@dataclass(frozen=True)
class Command:
    node: str
    title: str
    help: str
    fields: tuple[Field, ...]
    problem: str = ""
    """Why its fields can't be told now, where they can't."""

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """A command as the component describes it."""
        return cls(said["node"], said["title"], said["help"], tuple(map(Field.of, said["fields"])), said.get("error", ""))


def texts(command: Command, words: Sequence[str]) -> dict[str, list[str]]:
    """The values that the words give: `--field value`, `--field=value`, a lone `--field` for a boolean; again for the next of several.

    Words without an option fill `action` first, then the other fields in their order. Values of a list of options may follow each other,
    or be joined by commas. Raises Mistyped.
    """
    given: dict[str, list[str]] = {}
    loose: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("--"):
            loose.append(word)
            continue
        option, equals, value = word.partition("=")
        field = _field(command, option)
        if not equals and field.type == "boolean" and (not left or left[0].startswith("--")):
            value = "true"
        elif not equals:
            if not left:
                raise Mistyped(f"{option} needs a value")
            value = left.pop(0)
        given.setdefault(field.name, []).extend([*_values(field, value), *_following(field, left)])
    order = sorted((field for field in command.fields if field.name not in given), key=lambda field: field.name != ACTION)
    for field in order:
        if loose:
            given[field.name] = [*_values(field, loose.pop(0)), *_following(field, loose)]
    if loose:
        raise Mistyped(f"{loose[0]!r} is one word too many")
    return given


def usage(command: Command) -> str:
    """How the command is written: `rapport admin virtual-users [ACTION] [--node TEXT] …`."""
    parts = ["rapport", "admin", command.node]
    for field in sorted(command.fields, key=lambda field: field.name != ACTION):
        if field.name == ACTION:
            parts.append("|".join(field.options))
        else:
            word = f"{field.option} {field.name.upper()}"
            parts.append(word if field.required else f"[{word}]")
    return " ".join(parts)


def described(fields: Iterable[Field]) -> list[tuple[str, str]]:
    """A row for each field: its option; what it is, and what it takes."""
    rows = []
    for field in fields:
        said = [field.label, field.help, f"one of {', '.join(field.options)}" if field.options else ""]
        rows.append((field.option, "; ".join(filter(None, said))))
    return rows


def unknown(node: str, known: Iterable[str]) -> str:
    """What to say of a command that there is not."""
    near = get_close_matches(node, list(known), n=1)
    hint = f": {near[0]!r} is meant?" if near else "; 'rapport admin --help' lists them, with --asker JID those of a user"
    return f"there is no command {node!r}{hint}"


def _field(command: Command, option: str) -> Field:
    for field in command.fields:
        if option in (field.option, f"--{field.name}"):
            return field
    near = get_close_matches(option, [field.option for field in command.fields], n=1)
    raise Mistyped(f"{command.node} has no {option}" + (f": {near[0]} is meant?" if near else ""))


def _values(field: Field, value: str) -> list[str]:
    return value.split(",") if field.type == "list-multi" else [value]


def _following(field: Field, words: list[str]) -> list[str]:
    """Takes the first words, as far as they are more options of this list."""
    found: list[str] = []
    while words and field.type == "list-multi" and words[0] in field.options:
        found.append(words.pop(0))
    return found
