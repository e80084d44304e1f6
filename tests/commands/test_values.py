"""What people type becomes a value, or a reason that names the field."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.commands.model import BadField, Field, Type
from component.commands.values import parse, shown

OPTIONS = [("online", "Online"), ("away", "Away"), ("dnd", "Busy")]
DAY = 86400.0


def field(kind: Type, value: Any = None, **more: Any) -> Field:
    return Field("f", "A field", kind, value, **more)


def parsed(one: Field, *texts: str, whole: bool = True) -> Any:
    return parse([one], {"f": texts}, whole)["f"]


def left_out(one: Field, whole: bool) -> Any:
    return parse([one], {}, whole)["f"]


@pytest.mark.parametrize(
    ("one", "texts", "value"),
    [
        (field(Type.TEXT), ["Back soon"], "Back soon"),
        (field(Type.TEXT), ["  Back soon "], "Back soon"),
        (field(Type.TEXT), ["🙌"], "🙌"),
        (field(Type.TEXT), ["   "], None),
        (field(Type.SECRET), [" s3cret "], " s3cret "),
        (field(Type.LINES), ["one", "", "two\nthree "], ("one", "two", "three")),
        (field(Type.LINES), [""], ()),
        *((field(Type.BOOLEAN), [text], True) for text in ("1", "true", "on", "yes", "True", "YES")),
        *((field(Type.BOOLEAN, True), [text], False) for text in ("0", "false", "off", "no", "OFF")),
        (field(Type.JID), ["BOB@Example.ORG."], "bob@example.org"),
        (field(Type.JID), ["bob@example.org/Phone"], "bob@example.org/Phone"),
        (field(Type.CHOICE, options=OPTIONS), ["dnd"], "dnd"),
        (field(Type.CHOICE, options=OPTIONS), [" DND "], "dnd"),
        (field(Type.CHOICE, "away", options=OPTIONS), [""], None),
        (field(Type.CHOICE, "away", options=OPTIONS), ["none"], None),
        (field(Type.CHOICE, options=[("none", "None"), ("all", "All")]), ["none"], "none"),
        (field(Type.CHOICES, options=OPTIONS), ["dnd", "online", "dnd"], ("online", "dnd")),
        (field(Type.CHOICES, options=OPTIONS, ordered=True), ["dnd", "online"], ("dnd", "online")),
        (field(Type.CHOICES, options=OPTIONS), ["dnd, away online"], ("online", "away", "dnd")),
        (field(Type.CHOICES, options=OPTIONS), ["Busy", "Online"], ("online", "dnd")),
        (field(Type.DURATION), ["1h30m"], 5400.0),
        (field(Type.DURATION, least=1, most=30 * DAY), ["1s"], 1.0),
        (field(Type.DURATION, least=1, most=30 * DAY), ["30d"], 30 * DAY),
        (field(Type.NUMBER), ["-52.52"], -52.52),
        (field(Type.NUMBER, least=-90, most=90), ["90"], 90.0),
        (field(Type.WHOLE, least=1), ["007"], 7),
    ],
)
def test_a_text_becomes_its_value(one: Field, texts: list[str], value: Any) -> None:
    assert parsed(one, *texts) == value


@pytest.mark.parametrize(
    ("one", "texts", "reason"),
    [
        (field(Type.TEXT), ["Book\x02shop"], "it holds a character that XML forbids"),
        (field(Type.SECRET), ["\ud800"], "it holds a character that XML forbids"),
        (field(Type.TEXT), ["one", "two"], "it takes one value, not several"),
        (field(Type.SECRET), ["one", "two"], "it takes one value, not several"),
        (field(Type.TEXT, "x", required=True), [""], "it can't be empty"),
        (field(Type.CHOICE, "away", required=True, options=OPTIONS), [""], "it can't be empty"),
        (field(Type.BOOLEAN), ["maybe"], "'maybe' is neither on nor off"),
        (field(Type.JID), ["a@b@c"], "'a@b@c' is no JID: it has more than one @"),
        (field(Type.CHOICE, options=OPTIONS), ["gone"], "'gone' is none of online, away, dnd"),
        (field(Type.CHOICE, required=True, options=OPTIONS), ["none"], "'none' is none of online, away, dnd"),
        (field(Type.CHOICE), ["shop"], "'shop' is none of the options: there are none"),
        (field(Type.CHOICES, options=OPTIONS), ["dnd", "gone"], "'gone' is none of online, away, dnd"),
        (field(Type.DURATION), ["soon"], "'soon' is no duration: write it like '30m', '1h30m', '2s' or '1d'"),
        (field(Type.DURATION, least=1, most=30 * DAY), ["0s"], "0s is too little: between 1s and 30d"),
        (field(Type.DURATION, least=1, most=30 * DAY), ["31d"], "31d is too much: between 1s and 30d"),
        (field(Type.DURATION, least=1), ["0s"], "0s is too little: at least 1s"),
        (field(Type.NUMBER), ["1e3"], "'1e3' is no number"),
        (field(Type.NUMBER), ["nan"], "'nan' is no number"),
        (field(Type.NUMBER, most=90), ["90.5"], "90.5 is too much: at most 90"),
        (field(Type.WHOLE), ["1.5"], "'1.5' is no whole number"),
        (field(Type.WHOLE), ["٣"], "'٣' is no whole number"),
        (field(Type.WHOLE, least=1), ["0"], "0 is too little: at least 1"),
    ],
)
def test_a_text_that_cannot_be_taken_is_refused_with_its_reason(one: Field, texts: list[str], reason: str) -> None:
    with pytest.raises(BadField) as refusal:
        parsed(one, *texts)
    assert (refusal.value.name, refusal.value.reason) == ("f", reason)


@pytest.mark.parametrize(
    ("one", "in_a_form", "in_words"),
    [
        (field(Type.TEXT, "old"), None, "old"),
        (field(Type.TEXT, "old", required=True), "old", "old"),
        (field(Type.DURATION, 60.0, required=True), 60.0, 60.0),
        (field(Type.DURATION, 60.0), None, 60.0),
        (field(Type.CHOICE, "away", options=OPTIONS), None, "away"),
        (field(Type.LINES, ("a",)), (), ("a",)),
        (field(Type.LINES), (), ()),
        (field(Type.CHOICES, ("dnd",), options=OPTIONS), (), ("dnd",)),
        (field(Type.BOOLEAN, True), True, True),
        (field(Type.BOOLEAN), False, False),
        (field(Type.SECRET, "s3cret"), "s3cret", "s3cret"),
        (field(Type.SECRET), None, None),
    ],
)
def test_a_field_left_out_is_empty_in_a_form_if_it_can_be_and_unchanged_in_words(one: Field, in_a_form: Any, in_words: Any) -> None:
    assert left_out(one, whole=True) == in_a_form
    assert left_out(one, whole=False) == in_words


def test_a_form_field_without_a_value_counts_as_left_out() -> None:
    assert parsed(field(Type.TEXT, "old", required=True)) == "old"
    assert parsed(field(Type.TEXT, "old")) is None


def test_a_secret_sent_back_empty_is_unchanged() -> None:
    assert parsed(field(Type.SECRET, "s3cret"), "") == "s3cret"


@pytest.mark.parametrize("whole", [True, False])
def test_a_needed_field_that_has_no_value_must_be_given(whole: bool) -> None:
    with pytest.raises(BadField, match="needed"):
        left_out(field(Type.JID, required=True), whole)


def test_names_that_no_field_has_are_ignored() -> None:
    assert parse([field(Type.TEXT)], {"f": ["x"], "FORM_TYPE": ["urn:x"], "other": ["\x02"]}, whole=True) == {"f": "x"}


seconds = st.integers(min_value=1, max_value=30 * 86_400_000).map(lambda milliseconds: milliseconds / 1000)
words = st.text(st.sampled_from("abcäß 🙌<&'\""), min_size=1, max_size=9).map(str.strip).filter(bool)
fields_with_values = st.one_of(
    st.builds(field, st.just(Type.TEXT), words),
    st.builds(field, st.just(Type.LINES), st.lists(words, min_size=1, max_size=3).map(tuple)),
    st.builds(field, st.just(Type.BOOLEAN), st.booleans()),
    st.builds(field, st.just(Type.DURATION), seconds),
    st.builds(field, st.just(Type.NUMBER), st.integers(-(10**6), 10**6).map(lambda n: n / 100)),
    st.builds(field, st.just(Type.WHOLE), st.integers(-(10**9), 10**9)),
    st.builds(field, st.just(Type.CHOICE), st.sampled_from([value for value, _ in OPTIONS]), options=st.just(OPTIONS)),
    st.builds(
        field,
        st.just(Type.CHOICES),
        st.permutations([value for value, _ in OPTIONS]).map(tuple),
        options=st.just(OPTIONS),
        ordered=st.just(True),
    ),
)


@given(fields_with_values)
def test_what_a_form_shows_is_taken_back_as_it_was(one: Field) -> None:
    assert parsed(one, *shown(one)) == one.value


@given(st.sampled_from(Type), st.booleans(), st.lists(st.text(st.sampled_from("ab1.5sd@/,-\x02\ud800 \n")), max_size=3), st.booleans())
def test_any_text_is_taken_or_refused_by_the_fields_name(kind: Type, required: bool, texts: list[str], whole: bool) -> None:
    one = field(kind, required=required, options=[("a", "A"), ("b", "B")])
    try:
        parse([one], {"f": texts}, whole)
    except BadField as refusal:
        assert refusal.name == "f"
        assert refusal.reason
