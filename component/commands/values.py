"""What people typed → what a command runs with, and back. Pure.

A text is what a form field's <value/>, a chat word or an argument of the command line holds; a field may have several.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from component.commands.model import BadField, Field, Type
from config import durations
from stanzas import jid
from stanzas.text import is_clean

Texts = Mapping[str, Sequence[str]]
"""Field name → texts; a name without a text was left empty, one that is not there was left out."""

BOOLEANS = {"1": True, "true": True, "on": True, "yes": True, "0": False, "false": False, "off": False, "no": False}
NO_CHOICE = "none"
"""The option of a CHOICE that may be empty for just that; an empty text means the same."""
MANY = (Type.LINES, Type.CHOICES)
"""The types that take several texts."""


def parse(fields: Sequence[Field], texts: Texts, whole: bool) -> dict[str, Any]:
    """A value for each field. Names that no field has are ignored.

    `whole`: the texts are a submitted form, where a field that is left out may mean that it was emptied (model.Field);
    otherwise it is unchanged. Raises BadField.
    """
    return {field.name: _value(field, texts.get(field.name), whole) for field in fields}


def shown(field: Field) -> tuple[str, ...]:
    """The texts that show a field's present value: `parse` takes them back to it. A secret is not shown."""
    value = field.value
    if value is None or value == () or value == "" or field.type is Type.SECRET:
        return ()
    if field.type is Type.BOOLEAN:
        return ("1" if value else "0",)
    if field.type is Type.DURATION:
        return (durations.format(value),)
    if field.type is Type.NUMBER:
        return (f"{value:.15g}",)
    if field.type in MANY:
        return tuple(value)
    return (str(value),)


def _value(field: Field, texts: Sequence[str] | None, whole: bool) -> Any:
    for text in texts or ():
        if not is_clean(text):
            raise BadField(field.name, "it holds a character that XML forbids")
    typed = [text for text in texts or () if text.strip()]
    if typed:
        return _PARSERS[field.type](field, typed)
    if field.type is Type.BOOLEAN:
        return bool(field.value)
    if field.type is Type.SECRET and field.value:
        # Its form shows nothing, so that nothing comes back; Profanity 0.13.1 sends it empty whatever it held.
        return field.value
    if field.required:
        if texts:
            raise BadField(field.name, "it can't be empty")
        if field.value in (None, (), ""):
            raise BadField(field.name, "it is needed")
        return field.value
    if texts is None and not whole and field.value is not None:
        return field.value
    return () if field.type in MANY else None


def _one(parse_one: Callable[[Field, str], Any]) -> Callable[[Field, Sequence[str]], Any]:
    def parse_only(field: Field, texts: Sequence[str]) -> Any:
        if len(texts) > 1:
            raise BadField(field.name, "it takes one value, not several")
        return parse_one(field, texts[0].strip())

    return parse_only


def _text(_field: Field, text: str) -> str:
    return text


def _secret(field: Field, texts: Sequence[str]) -> str:
    if len(texts) > 1:
        raise BadField(field.name, "it takes one value, not several")
    return texts[0]


def _lines(_field: Field, texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(line.strip() for text in texts for line in text.splitlines() if line.strip())


def _boolean(field: Field, text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise BadField(field.name, f"{text!r} is neither on nor off")
    return BOOLEANS[text.lower()]


def _jid(field: Field, text: str) -> str:
    try:
        return jid.parse(text)
    except ValueError as error:
        raise BadField(field.name, str(error)) from None


def _choice(field: Field, text: str) -> str:
    option = _option(field, text)
    if option is None:
        raise BadField(field.name, f"{text!r} is none of {_options(field)}")
    return option


def _optional_choice(field: Field, text: str) -> str | None:
    if not field.required and _option(field, text) is None and text.casefold() == NO_CHOICE:
        return None
    return _choice(field, text)


def _choices(field: Field, texts: Sequence[str]) -> tuple[str, ...]:
    chosen: dict[str, None] = {}
    for text in texts:
        words = [text] if _option(field, text) else re.split(r"[\s,]+", text.strip(", \t\n"))
        chosen |= {_choice(field, word): None for word in words}
    if field.ordered:
        return tuple(chosen)
    return tuple(value for value, _label in field.options if value in chosen)


def _option(field: Field, text: str) -> str | None:
    """The option that a text means: its value, or its label (Gajim 1.7.3 sends the labels of a list-multi)."""
    wanted = text.strip().casefold()
    by_value = {value.casefold(): value for value, _label in field.options}
    by_label = {label.casefold(): value for value, label in field.options}
    return text if text in by_value.values() else by_value.get(wanted, by_label.get(wanted))


def _options(field: Field) -> str:
    return ", ".join(value for value, _label in field.options) or "the options: there are none"


def _duration(field: Field, text: str) -> float:
    try:
        seconds = durations.parse(text)
    except ValueError as error:
        raise BadField(field.name, str(error)) from None
    return _in_range(field, seconds, durations.format)


def _number(field: Field, text: str) -> float:
    if re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?", text) is None:
        raise BadField(field.name, f"{text!r} is no number")
    return _in_range(field, float(text), "{:.15g}".format)


def _whole(field: Field, text: str) -> int:
    if re.fullmatch(r"[+-]?[0-9]{1,15}", text) is None:
        raise BadField(field.name, f"{text!r} is no whole number")
    return int(_in_range(field, int(text), "{:.15g}".format))


def _in_range(field: Field, value: float, written: Callable[[float], str]) -> float:
    if field.least is not None and value < field.least:
        reason = "is too little"
    elif field.most is not None and value > field.most:
        reason = "is too much"
    else:
        return value
    raise BadField(field.name, f"{written(value)} {reason}: {_range(field, written)}")


def _range(field: Field, written: Callable[[float], str]) -> str:
    if field.least is None:
        return "" if field.most is None else f"at most {written(field.most)}"
    return f"at least {written(field.least)}" if field.most is None else f"between {written(field.least)} and {written(field.most)}"


_PARSERS: Mapping[Type, Callable[[Field, Sequence[str]], Any]] = {
    Type.TEXT: _one(_text),
    Type.LINES: _lines,
    Type.SECRET: _secret,
    Type.BOOLEAN: _one(_boolean),
    Type.JID: _one(_jid),
    Type.CONTACT: _one(_text),
    Type.CHOICE: _one(_optional_choice),
    Type.CHOICES: _choices,
    Type.DURATION: _one(_duration),
    Type.NUMBER: _one(_number),
    Type.WHOLE: _one(_whole),
}
