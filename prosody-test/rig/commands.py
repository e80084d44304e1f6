"""Rapport's commands as a client gives them: ad-hoc (XEP-0050) and by chat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from rig import xml
from rig.raw import RawClient
from rig.server import COMPONENT
from rig.xml import Element

# A client that can't chat with a bare domain reaches the same commands here.
CHAT = f"rapport@{COMPONENT}"

Values = Mapping[str, str | bool | Sequence[str]]


class CommandError(Exception):
    """The answer was an IQ error; the text is its condition."""


@dataclass(frozen=True)
class Answer:
    """One answer to a command."""

    command: Element

    @property
    def status(self) -> str:
        """executing, completed or canceled."""
        return self.command.get("status", "")

    @property
    def session(self) -> str:
        return self.command.get("sessionid", "")

    @property
    def notes(self) -> list[tuple[str, str]]:
        """(type, text) of each `<note/>`."""
        return [(note.get("type", "info"), note.text or "") for note in xml.children(self.command, "note")]

    @property
    def form(self) -> Element | None:
        return xml.child(self.command, "x", xml.DATA)

    @property
    def fields(self) -> list[Element]:
        return [] if self.form is None else list(xml.children(self.form, "field"))

    @property
    def values(self) -> dict[str, list[str]]:
        """The values of each field that has a `var`."""
        return {
            field.get("var", ""): [value.text or "" for value in xml.children(field, "value")] for field in self.fields if field.get("var")
        }

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(label, first value) of each field that is not hidden: the rows of a table, as clients show it."""
        return [(field.get("label", ""), xml.text(field, "value") or "") for field in self.fields if field.get("type") != "hidden"]

    @property
    def text(self) -> str:
        """All that a user can read in it: notes, instructions, labels and values."""
        readable = [text for _, text in self.notes]
        for each in () if self.form is None else self.form.iter():
            readable += [each.get("label", ""), each.text or ""]
        return "\n".join(part.strip() for part in readable if part.strip())


async def execute(client: RawClient, node: str, to: str = COMPONENT, within: float = 5.0) -> Answer:
    """The first answer to a command.

    Raises:
        CommandError: an IQ error.
    """
    return await _ask(client, f"<command xmlns='{xml.COMMANDS}' node={xml.quoteattr(node)} action='execute'/>", to, within)


async def submit(
    client: RawClient,
    answer: Answer,
    values: Values,
    to: str = COMPONENT,
    action: str | None = "complete",
    within: float = 5.0,
) -> Answer:
    """Submit the form of an answer with just these fields (and its FORM_TYPE).

    Args:
        values: a bool is sent as `1` or `0`.
        action: None leaves the attribute out.

    Raises:
        CommandError: an IQ error.
    """
    form = ET.Element(f"{{{xml.DATA}}}x", type="submit")
    kept = {"FORM_TYPE": answer.values["FORM_TYPE"]} if "FORM_TYPE" in answer.values else {}
    for var, value in {**kept, **values}.items():
        field = ET.SubElement(form, f"{{{xml.DATA}}}field", var=var)
        for each in [str(int(value))] if isinstance(value, bool) else [value] if isinstance(value, str) else value:
            ET.SubElement(field, f"{{{xml.DATA}}}value").text = each
    wish = f" action={xml.quoteattr(action)}" if action is not None else ""
    node = xml.quoteattr(answer.command.get("node", ""))
    head = f"<command xmlns='{xml.COMMANDS}' node={node} sessionid={xml.quoteattr(answer.session)}{wish}>"
    return await _ask(client, f"{head}{xml.dump(form)}</command>", to, within)


async def run(client: RawClient, node: str, values: Values | None = None, to: str = COMPONENT) -> Answer:
    """Execute a command, submit its form if it has one, and return the completed answer.

    Raises:
        CommandError: an IQ error.
        AssertionError: it does not end with that; the text is what it says.
    """
    answer = await execute(client, node, to)
    if answer.status == "executing":
        answer = await submit(client, answer, values or {}, to)
    assert answer.status == "completed", f"{node}: {answer.status}: {answer.text}"
    return answer


async def say(client: RawClient, line: str, to: str = CHAT, within: float = 5.0) -> str:
    """Give a command by chat; the reply's text."""
    start = client.mark()
    await client.message(to, line)
    replies = await client.until(lambda: client.bodies(to, start), within, f"a reply to {line!r}")
    return replies[0]


async def _ask(client: RawClient, payload: str, to: str, within: float) -> Answer:
    reply = await client.iq("set", payload, to, within=within)
    if reply.get("type") == "error":
        raise CommandError(xml.condition(reply))
    command = xml.child(reply, "command", xml.COMMANDS)
    assert command is not None, xml.dump(reply)
    return Answer(command)
