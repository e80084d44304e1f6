"""Ad-hoc commands (XEP-0050), as the clients of today can use them (spec/00-overview.md, One definition)."""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree.ElementTree import Element

from component.commands.model import Answer, Ask, Asker, BadField, Command, Field, Row, Type
from component.commands.registry import LINK_DOWN, Registry, complaint
from component.commands.values import NO_CHOICE, Texts, parse, shown
from component.ports import LinkDown, StanzaError
from stanzas.build import element
from stanzas.forms import FORM, FormField, form, submitted, table
from stanzas.namespaces import ADHOC, DATA_FORM, DISCO_INFO, DISCO_ITEMS, qualified

LIFETIME = 600.0
"""How long a session lasts, in seconds from its start."""
SESSIONS_OF_ONE = 20
SESSIONS_IN_ALL = 1000
"""The most sessions that are remembered, of one bare JID and in all; the oldest go first."""
TABLE_BYTES = 200_000
"""What the rows of a table may come to: Prosody ends the stream of a component at a stanza of 512 KiB."""

_COMMAND = qualified(ADHOC, "command")
_ACTIONS = ("execute", "next", "complete", "prev", "cancel")
_ROW_BYTES = 150
_INPUTS = ("text-single", "text-private", "jid-single")


class Adhoc:
    """The ad-hoc face of a registry. `now` tells UNIX seconds."""

    def __init__(self, registry: Registry, now: Callable[[], float]) -> None:
        self._registry = registry
        self._sessions = _Sessions(now)

    async def items(self, asker: Asker, address: str) -> Element:
        """The disco#items query of the node `http://jabber.org/protocol/commands`: what this asker may use, at the address they asked."""
        query = element(DISCO_ITEMS, "query", {"node": ADHOC})
        for command in await self._registry.for_asker(asker):
            query.append(element(DISCO_ITEMS, "item", {"jid": address, "node": command.node, "name": command.title}))
        return query

    async def info(self, asker: Asker, node: str) -> Element:
        """The disco#info query of a command's node, or of the list's. Raises StanzaError: there is none for this asker."""
        query = element(DISCO_INFO, "query", {"node": node})
        if node == ADHOC:
            query.append(_identity("command-list", "Commands"))
            query.append(_feature(ADHOC))
        else:
            query.append(_identity("command-node", (await self._find(node, asker)).title))
            query.extend((_feature(ADHOC), _feature(DATA_FORM)))
        return query

    async def handle(self, asker: Asker, iq: Element) -> Element:
        """The <command/> that answers the one of an IQ set.

        Raises StanzaError (XEP-0050, 4.5), Refused, and LinkDown where there is no form yet that could say so.
        """
        request = iq.find(_COMMAND)
        if request is None:
            raise StanzaError("bad-request")
        command = await self._find(request.get("node", ""), asker)
        # Profanity 0.13.1 submits without an action: `execute`, the default, is then the form's own default.
        action = request.get("action", "execute")
        if action not in _ACTIONS:
            raise _unacceptable("malformed-action")
        x = request.find(FORM)
        session_id = request.get("sessionid")
        if session_id is None and action == "execute" and x is None:
            return await self._begin(asker, command)
        session = self._sessions.find(session_id or "", asker, command)
        async with session.turn:
            if session.ended:
                raise _expired()
            if action == "prev":
                return session.back()
            # XEP-0050, 4.4.1 would have a form of type cancel taken as submitted; who sends one wants to leave.
            if action == "cancel" or (x is not None and submitted(x).kind == "cancel"):
                session.end()
                return session.reply("canceled")
            if x is None and session.stages[-1].fields:
                raise _unacceptable("bad-payload")
            return await _proceed(asker, session, {} if x is None else submitted(x).values)

    async def _find(self, node: str, asker: Asker) -> Command:
        """A node that the asker may not use is as absent as one that is not there: `forbidden` would tell the two apart."""
        command = await self._registry.by_node(node, asker)
        if command is None:
            raise StanzaError("item-not-found")
        return command

    async def _begin(self, asker: Asker, command: Command) -> Element:
        session = _Session(secrets.token_urlsafe(18), asker, command)
        fields = await command.fields(asker)
        session.stages.append(_Stage(fields, command.help))
        reply = session.form() if fields else await _proceed(asker, session, {})
        if not session.ended:
            self._sessions.add(session)
        return reply


async def _proceed(asker: Asker, session: "_Session", texts: Texts) -> Element:
    """Take a submitted form: the answer, the next form, or the same one again with what is wrong."""
    command, stage = session.command, session.stages[-1]
    if len(session.stages) == 1:
        # What is left out of the form is unchanged: as of now, not as of when the form was asked for.
        stage.fields = await command.fields(asker)
    stage.texts = {each.name: texts[each.name] for each in stage.fields if each.name in texts}
    try:
        stage.values = parse(stage.fields, texts, whole=True)
        outcome = await command.run(asker, {name: value for each in session.stages for name, value in each.values.items()})
    except BadField as error:
        session.back_to(error.name)
        return session.again(complaint(session.stages[-1].fields, error))
    except LinkDown:
        # No IQ error: Converse.js 14 shows that as "Completed" and drops what was typed.
        return session.again(LINK_DOWN)
    if isinstance(outcome, Ask):
        session.stages.append(_Stage(outcome.fields, outcome.note))
        return session.form()
    filled_in = stage.fields
    session.end()
    return session.reply("completed", *_result(command, outcome, filled_in))


def _unacceptable(specific: str) -> StanzaError:
    return StanzaError("bad-request", app=element(ADHOC, specific))


def _expired() -> StanzaError:
    return StanzaError("not-allowed", app=element(ADHOC, "session-expired"))


@dataclass
class _Stage:
    """One form of a session, with what was submitted last."""

    fields: Sequence[Field]
    instructions: str
    texts: Texts | None = None
    """None: nothing was submitted yet."""
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Session:
    id: str
    asker: Asker
    command: Command
    stages: list[_Stage] = field(default_factory=list)
    """The forms so far, the present one last; none once the session has ended."""
    since: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One request at a time: a form that is submitted twice at once is carried out once."""

    @property
    def ended(self) -> bool:
        return not self.stages

    def end(self) -> None:
        self.stages = []

    def back(self) -> Element:
        if len(self.stages) == 1:
            raise _unacceptable("bad-action")
        self.stages.pop()
        return self.form()

    def back_to(self, name: str) -> None:
        """Go back to the form that has this field, if one has."""
        while len(self.stages) > 1 and name not in (each.name for each in self.stages[-1].fields):
            self.stages.pop()

    def again(self, wrong: str) -> Element:
        """The same form with what was typed and what is wrong with it; the end, where there is nothing to mend."""
        if self.stages[-1].fields:
            return self.form(wrong)
        self.end()
        return self.reply("completed", _note("error", wrong))

    def form(self, wrong: str | None = None) -> Element:
        """The present form; `wrong` goes into the instructions too: Converse.js and Profanity don't show the note of a form."""
        stage = self.stages[-1]
        actions = element(ADHOC, "actions", {"execute": "complete"})
        if len(self.stages) > 1:
            actions.append(element(ADHOC, "prev"))
        actions.append(element(ADHOC, "complete"))
        fields = [_form_field(each, stage) for each in stage.fields]
        x = form(self.command.title, wrong or stage.instructions, fields, _form_type(self.command))
        notes = [] if wrong is None else [_note("error", wrong)]
        return self.reply("executing", actions, x, *notes)

    def reply(self, status: str, *children: Element) -> Element:
        command = element(ADHOC, "command", {"node": self.command.node, "sessionid": self.id, "status": status})
        command.extend(children)
        return command


class _Sessions:
    """The open sessions, and the ended ones for as long: they are told from ids that never were."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._by_id: dict[str, _Session] = {}

    def add(self, session: _Session) -> None:
        session.since = self._now()
        for old in [each for each in self._by_id.values() if session.since >= each.since + 2 * LIFETIME]:
            del self._by_id[old.id]
        mine = [each.id for each in self._by_id.values() if each.asker.bare == session.asker.bare]
        excess = mine[: max(0, len(mine) + 1 - SESSIONS_OF_ONE)] or list(self._by_id)[: max(0, len(self._by_id) + 1 - SESSIONS_IN_ALL)]
        for old_id in excess:
            del self._by_id[old_id]
        self._by_id[session.id] = session

    def find(self, session_id: str, asker: Asker, command: Command) -> _Session:
        """Raises StanzaError; somebody else's session is as unknown as none."""
        session = self._by_id.get(session_id)
        if session is None or session.asker.jid != asker.jid or session.command is not command:
            raise _unacceptable("bad-sessionid")
        if self._now() >= session.since + LIFETIME:
            session.end()
        if session.ended:
            raise _expired()
        return session


def _identity(kind: str, name: str) -> Element:
    return element(DISCO_INFO, "identity", {"category": "automation", "type": kind, "name": name})


def _feature(var: str) -> Element:
    return element(DISCO_INFO, "feature", {"var": var})


def _note(kind: str, text: str) -> Element:
    return element(ADHOC, "note", {"type": kind}, text)


def _form_type(command: Command) -> str:
    return f"urn:x-rapport:{command.node}:0"


def _result(command: Command, answer: Answer, filled_in: Sequence[Field]) -> list[Element]:
    rows = _fitting(answer.rows)
    note = answer.note if len(rows) == len(answer.rows) else f"{answer.note} (The first {len(rows)} of {len(answer.rows)} rows.)"
    if not rows:
        return [_note("info", note)]
    hidden = _ahead_of_rows(command, filled_in)
    return [table(command.title, [(row.label, row.value) for row in rows], hidden), _note("info", note)]


def _ahead_of_rows(command: Command, filled_in: Sequence[Field]) -> list[FormField]:
    """Hidden fields in the places of the form's text fields.

    Converse.js 14 shows the result in the form's own inputs: the n-th row would have the text that was typed into the n-th field.
    """
    typed = [place for place, each in enumerate(filled_in, 1) if each.form_type in _INPUTS]
    if not typed:
        return []
    fields = [FormField(each.name, "hidden") for each in filled_in[: typed[-1]]]
    return [FormField("FORM_TYPE", "hidden", values=[_form_type(command)]), *fields]


def _fitting(rows: Sequence[Row]) -> Sequence[Row]:
    size = 0
    for count, row in enumerate(rows):
        size += len(row.label.encode(errors="replace")) + len(row.value.encode(errors="replace")) + _ROW_BYTES
        if size > TABLE_BYTES:
            return rows[:count]
    return rows


def _form_field(each: Field, stage: _Stage) -> FormField:
    options, texts = each.options, _field_texts(each, stage)
    if each.ordered:
        return FormField(each.name, each.form_type, each.label, texts, each.required, (), _one_a_line(each))
    if each.type is Type.CHOICE and not each.required and NO_CHOICE not in (value for value, _label in options):
        # Converse.js 14 selects the first option where none is; Profanity 0.13.1 shows no options then, and ends on an empty one.
        options, texts = [(NO_CHOICE, NO_CHOICE), *options], texts or [NO_CHOICE]
    return FormField(each.name, each.form_type, each.label, texts, each.required, options, each.help)


def _one_a_line(each: Field) -> str:
    return " ".join(filter(None, (each.help, f"One a line, of: {', '.join(value for value, _label in each.options)}.")))


def _field_texts(each: Field, stage: _Stage) -> Sequence[str]:
    """What was typed, where the form comes back and a client can show it; else the present value."""
    present = shown(each) or (("0",) if each.type is Type.BOOLEAN else ())
    if stage.texts is None:
        return present
    typed = stage.texts.get(each.name, ())
    if not typed:
        return present if each.required or each.type is Type.BOOLEAN else ()
    if each.type in (Type.BOOLEAN, Type.CHOICE, Type.CHOICES) and not each.ordered:
        try:
            return shown(replace(each, value=parse([each], {each.name: typed}, whole=True)[each.name]))
        except BadField:
            return present
    return typed
