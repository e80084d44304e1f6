"""Data forms (XEP-0004), as far as the clients of today can show them.

No <reported/>: Gajim 1.7.3 hangs on it, Profanity 0.13.1 and poezio 0.14 show no rows. A table is a result with a field per row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from stanzas.build import element
from stanzas.namespaces import DATA_FORM, qualified

FORM = qualified(DATA_FORM, "x")
_FIELD = qualified(DATA_FORM, "field")
_VALUE = qualified(DATA_FORM, "value")


@dataclass(frozen=True, slots=True)
class FormField:
    """A field as a client shows it; `type` is one of XEP-0004, 3.3."""

    var: str
    type: str
    label: str = ""
    values: Sequence[str] = ()
    required: bool = False
    options: Sequence[tuple[str, str]] = ()
    """(value, label) pairs."""
    desc: str = ""

    def element(self) -> Element:
        field = element(DATA_FORM, "field", {"var": self.var, "type": self.type, "label": self.label or None})
        if self.desc:
            field.append(element(DATA_FORM, "desc", text=self.desc))
        if self.required:
            field.append(element(DATA_FORM, "required"))
        field.extend(element(DATA_FORM, "value", text=value) for value in self.values)
        for value, label in self.options:
            option = element(DATA_FORM, "option", {"label": label})
            option.append(element(DATA_FORM, "value", text=value))
            field.append(option)
        return field


def form(title: str, instructions: str, fields: Sequence[FormField], form_type: str | None = None) -> Element:
    """A form to fill in; `form_type` is its hidden FORM_TYPE (XEP-0068)."""
    x = _titled("form", title)
    if instructions:
        x.append(element(DATA_FORM, "instructions", text=instructions))
    if form_type is not None:
        x.append(FormField("FORM_TYPE", "hidden", values=[form_type]).element())
    x.extend(field.element() for field in fields)
    return x


def table(title: str, rows: Sequence[tuple[str, str]], hidden: Sequence[FormField] = ()) -> Element:
    """A table, a row a field: label and value. The `hidden` fields come first."""
    x = _titled("result", title)
    x.extend(field.element() for field in hidden)
    x.extend(FormField(f"row{number}", "text-single", label, [value]).element() for number, (label, value) in enumerate(rows, 1))
    return x


@dataclass(frozen=True, slots=True)
class Submitted:
    """What came back: `kind` is the form's type (`submit`, `cancel`, or what the client wrote).

    `values` has the fields that have a var. One without a <value/> is there with no value; of two with the same var, the first.
    """

    kind: str
    values: Mapping[str, Sequence[str]]


def submitted(x: Element) -> Submitted:
    """Reads a submitted form; only fields and their values: Gajim sends labels, options and instructions back too."""
    values: dict[str, Sequence[str]] = {}
    for field in x.findall(_FIELD):
        var = field.get("var")
        if var:
            values.setdefault(var, [value.text or "" for value in field.findall(_VALUE)])
    return Submitted(x.get("type", "submit"), values)


def _titled(kind: str, title: str) -> Element:
    x = element(DATA_FORM, "x", {"type": kind})
    x.append(element(DATA_FORM, "title", text=title))
    return x
