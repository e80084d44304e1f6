"""What a sub-user's line means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules.slash import USAGE, Line, Order, Unknown, Word, read


@pytest.mark.parametrize(
    ("body", "meaning"),
    [
        ("hello", Line("hello")),
        ("see /etc/hosts", Line("see /etc/hosts")),
        ("one\n/close", Line("one\n/close")),
        ("//transfer ben", Line("/transfer ben")),
        ("//", Line("/")),
        ("///", Line("//")),
        ("/me waves", Line("/me waves")),
        ("/me", Line("/me")),
        ("/transfer ben", Order(Word.TRANSFER, "ben")),
        ("/transfer   Ben Example ", Order(Word.TRANSFER, "Ben Example")),
        ("/TRANSFER ben", Order(Word.TRANSFER, "ben")),
        ("/transfer", Order(Word.TRANSFER, "")),
        ("/close", Order(Word.CLOSE, "")),
        ("/close\n", Order(Word.CLOSE, "")),
        ("/who", Order(Word.WHO, "")),
        ("/why", Order(Word.WHY, "")),
        ("/note wants a refund\nby Friday", Order(Word.NOTE, "wants a refund\nby Friday")),
        ("/help", Order(Word.HELP, "")),
        ("/transfr ben", Unknown("transfr", "transfer")),
        ("/mean", Unknown("mean", "")),
        ("/xyzzy", Unknown("xyzzy", "")),
        ("/", Unknown("", "")),
        ("/ close", Unknown("", "")),
    ],
)
def test_a_line_means(body: str, meaning: object) -> None:
    assert read(body) == meaning


@given(st.text())
def test_what_goes_on_never_begins_with_one_slash_that_was_not_meant(body: str) -> None:
    meaning = read(body)
    if isinstance(meaning, Line) and meaning.text.startswith("/"):
        assert body.startswith("//") or meaning.text.split()[0] == "/me"


@given(st.text())
def test_a_second_slash_sends_any_line_as_it_is(text: str) -> None:
    assert read(f"//{text}") == Line(f"/{text}")


def test_help_can_explain_every_command() -> None:
    assert USAGE.keys() == set(Word)
