import pytest
from hypothesis import given
from hypothesis import strategies as st

from component.rules.paging import Asked, page

KEYS = ["ann", "ben", "cat", "dan", "eve"]
ROOM = 1_000


def one(_index: int) -> int:
    return 1


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Asked(), KEYS),
        (Asked(most=2), ["ann", "ben"]),
        (Asked(most=2, after="ben"), ["cat", "dan"]),
        (Asked(most=9, after="dan"), ["eve"]),
        (Asked(after="eve"), []),
        (Asked(most=2, before=""), ["dan", "eve"]),
        (Asked(most=2, before="dan"), ["ben", "cat"]),
        (Asked(most=2, before="ann"), []),
        (Asked(most=2, index=3), ["dan", "eve"]),
        (Asked(index=7), []),
        (Asked(most=0), []),
        (Asked(most=2, after="bob"), ["cat", "dan"]),
        (Asked(most=2, before="bob"), ["ann", "ben"]),
    ],
)
def test_a_page_is_the_one_that_was_asked_for(asked: Asked, expected: list[str]) -> None:
    assert [KEYS[index] for index in page(KEYS, asked, ROOM, one)] == expected


def test_a_page_ends_where_the_next_item_does_not_fit() -> None:
    assert page(KEYS, Asked(), 3, one) == range(3)
    assert page(KEYS, Asked(before=""), 3, one) == range(2, 5)


def test_an_item_too_large_for_any_page_still_comes() -> None:
    assert page(KEYS, Asked(after="ben"), 0, one) == range(2, 3)


@given(st.sets(st.text(max_size=3)).map(sorted), st.integers(1, 4), st.integers(1, 9), st.booleans())
def test_going_from_page_to_page_shows_every_item_once(keys: list[str], most: int, room: int, backwards: bool) -> None:
    seen: list[str] = []
    asked = Asked(most, before="") if backwards else Asked(most)
    while True:
        indexes = page(keys, asked, room, lambda index: 1 + index % 3)
        if not indexes:
            break
        items = [keys[index] for index in indexes]
        seen = items + seen if backwards else seen + items
        if backwards and not items[0]:
            break  # an empty key is the first one, and would ask for the last page
        asked = Asked(most, before=items[0]) if backwards else Asked(most, after=items[-1])
    assert seen == keys
