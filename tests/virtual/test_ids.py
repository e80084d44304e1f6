"""Ids of sub-users are hidden from customers, and found again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.virtual.ids import KEY_LENGTH, LONGEST, SealedIds

IDS = SealedIds(bytes(range(KEY_LENGTH)))


@given(st.text(max_size=LONGEST // 4))
def test_a_sealed_id_opens_to_what_was_sealed(text: str) -> None:
    assert IDS.open(IDS.seal(text)) == text


@given(st.text(min_size=1, max_size=LONGEST // 4))
def test_it_is_always_sealed_to_the_same(text: str) -> None:
    assert IDS.seal(text) == SealedIds(bytes(range(KEY_LENGTH))).seal(text)


@given(st.text())
def test_what_a_stranger_makes_up_opens_to_nothing(text: str) -> None:
    assert IDS.open(text) is None
    assert IDS.open("r-" + text) is None


@given(st.binary(max_size=64))
def test_neither_does_what_only_looks_like_one(data: bytes) -> None:
    assert SealedIds(bytes(KEY_LENGTH)).open(IDS.seal(data.hex())) is None


@pytest.mark.parametrize("name", ["ann", "ann-1", "phone", "ann@example.org/phone"])
def test_nothing_of_it_can_be_read(name: str) -> None:
    assert name not in IDS.seal(f"{name}:17")


def test_a_very_long_id_is_hidden_and_stays_short() -> None:
    sealed = IDS.seal("x" * 100_000)
    assert len(sealed) < 64
    assert IDS.open(sealed) is None
