"""Forged link stanzas are counted, and each sender is logged once a minute (spec/00-overview.md)."""

import logging

import pytest

from component.link.forgeries import REMEMBERED, Forgeries


def test_each_sender_is_logged_once_a_minute_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    forgeries = Forgeries(lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            forgeries.seen("mallory@example.org")
        forgeries.seen("eve@example.org")
        now = 60.0
        forgeries.seen("mallory@example.org")
    assert forgeries.count == 7
    assert [record.getMessage() for record in caplog.records] == [
        "link.forged sender=mallory@example.org count=1",
        "link.forged sender=eve@example.org count=1",
        "link.forged sender=mallory@example.org count=5",
    ]


def test_a_flood_of_senders_does_not_grow_without_bound() -> None:
    forgeries = Forgeries(lambda: 0.0)
    for number in range(REMEMBERED * 2):
        forgeries.seen(f"m{number}@example.org")
    assert forgeries.count == REMEMBERED * 2
    assert len(forgeries._senders) == REMEMBERED
