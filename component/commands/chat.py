"""Chat commands: a line in, a reply in plain words out, for clients without ad-hoc commands (spec/00-overview.md, One definition)."""

import re
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from component.commands.model import Answer, Ask, Asker, BadField, Command, Field, Refused, Type
from component.commands.registry import LINK_DOWN, Registry, carry_out, complaint, usage
from component.commands.values import MANY, shown
from component.ports import LinkDown
from stanzas.namespaces import COMPONENT, DELAY, LEGACY_DELAY, XML, qualified

LONGEST_REPLY = 20_000
"""In characters: a table beyond that is cut, and says so."""

_LONGEST_ECHO = 60
_BODY = qualified(COMPONENT, "body")
_DELAYS = (qualified(DELAY, "delay"), qualified(LEGACY_DELAY, "x"))
_LANG = qualified(XML, "lang")
# A quote that is never closed, and an apostrophe within a word, stand for themselves.
_QUOTED = r"""(?:"[^"]*"|(?<![^\s=:])'[^']*'(?=\s|$))"""
_WORD = re.compile(rf"(?:{_QUOTED}|\S)+")
_NAME = re.compile(r"[A-Za-z_]+")
_FREE = (Type.TEXT, Type.SECRET, Type.LINES, Type.JID, Type.CONTACT)
"""Types whose texts may look like `name=value`."""
_JOINED = (Type.TEXT, Type.CONTACT)
"""Types of which several words make one text."""
_QUOTES = str.maketrans("“”„‟", '""""')


def command_line(message: Element) -> str | None:
    """The text of a message of type chat or normal that is to be answered; None for receipts, delayed ones and whatever has no text."""
    if any(message.find(delay) is not None for delay in _DELAYS):
        return None
    bodies = sorted(message.findall(_BODY), key=lambda body: _LANG in body.attrib)
    text = (bodies[0].text or "").strip() if bodies else ""
    return text or None


class Chat:
    """The chat face of a registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def answer(self, asker: Asker, body: str) -> str:
        """The reply to a chat line."""
        words = split(body)
        if not words:
            return "Write `help` for the list of commands."
        command = await self._registry.by_word(words[0].removeprefix("/"), asker)
        if command is None:
            nearest = await self._registry.nearest(words[0][:_LONGEST_ECHO], asker)
            return f"I don't know `{words[0][:_LONGEST_ECHO]}`. Did you mean `{usage(nearest)}`? Write `help` for the list of commands."
        try:
            return await self._carry_out(asker, command, words[1:], body)
        except Refused:
            return "You may not do that."
        except LinkDown:
            return LINK_DOWN

    async def _carry_out(self, asker: Asker, command: Command, words: Sequence[str], body: str) -> str:
        if command.node == "help" and words:
            about = await self._registry.by_word(words[0], asker) or await self._registry.nearest(words[0], asker)
            return _described(about, await about.fields(asker))
        fields = await command.fields(asker)
        if not words and any(field.required and field.type is not Type.BOOLEAN and not shown(field) for field in fields):
            return _described(command, fields)
        try:
            outcome = await carry_out(command, fields, asker, assign(command, fields, words))
        except BadField as error:
            return f"{complaint(fields, error)}\nUsage: {usage(command)}"
        return _answer(outcome) if isinstance(outcome, Answer) else _question(outcome, body)


def split(line: str) -> list[str]:
    """The words of a line, quotes as in a shell: `group:"Work Mates"`, `'Work Mates'`; an odd one stands for itself."""
    return [re.sub(_QUOTED, lambda quoted: quoted.group()[1:-1], word.group()) for word in _WORD.finditer(line.translate(_QUOTES))]


def assign(command: Command, fields: Sequence[Field], words: Iterable[str]) -> dict[str, list[str]]:
    """Which field each word is for: `name=value` by its name, the others in the order of the command's `words`.

    Raises BadField for a word too many, and for a name that no field has.
    """
    named = {field.name for field in (*fields, *command.asks)}
    order = [field for name in command.words for field in fields if field.name == name]
    last = order[-1] if order and order[-1].type in (*_JOINED, *MANY) else None
    texts: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name.lower() in named:
            texts.setdefault(name.lower(), []).append(value)
            continue
        field = next((field for field in order if field.name not in texts), last)
        if equals and _NAME.fullmatch(name) and (field is None or field.type not in _FREE):
            raise BadField(name, f"there is no such field, only {', '.join(sorted(named))}" if named else "there are no fields")
        if field is None:
            raise BadField(word, "I don't know what this is for")
        texts.setdefault(field.name, []).append(word)
    if last is not None and last.type in _JOINED and last.name in texts:
        texts[last.name] = [" ".join(texts[last.name])]
    return texts


def _answer(answer: Answer) -> str:
    lines, size = [answer.note], len(answer.note)
    for row in answer.rows:
        line = f"{row.label}: {row.value}"
        size += len(line) + 1
        if size > LONGEST_REPLY:
            lines.append(f"… and {len(answer.rows) - len(lines) + 1} more.")
            break
        lines.append(line)
    return "\n".join(lines)


def _question(ask: Ask, body: str) -> str:
    words = " ".join(f"{field.name}={'yes' if field.type is Type.BOOLEAN else field.name.upper()}" for field in ask.fields)
    return f"{ask.note}\nTo go on, write: {body.strip()} {words}"


def _described(command: Command, fields: Sequence[Field]) -> str:
    """How a command is written, and its fields with their present values."""
    lines = [f"Usage: {usage(command)}", command.help, *map(_field, fields), *(f"For example: {example}" for example in command.examples)]
    return "\n".join(filter(None, lines))


def _field(field: Field) -> str:
    words = (("on" if field.value else "off"),) if field.type is Type.BOOLEAN else shown(field)
    options = f" One of: {', '.join(option for option, _label in field.options)}." if field.options else ""
    return f"{field.name} ({field.label}): {', '.join(words) or 'none'}.{options}"
