"""`rapport import-archive`: fills the ledger from the server's message archive, by a running component or for just this once."""

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from component.cli import ask, output
from config.settings import Settings
from stanzas import jid

Step = Mapping[str, Any]
"""`user`, `done`, `total` (None: not known), `new`; at the end `finished`, or `error`."""


def local_user(settings: Settings, text: str) -> str:
    """The bare JID of a user at a served host; a local part alone is enough where there is one such host. Raises ValueError."""
    hosts = settings.component.served_hosts
    if "@" not in text and len(hosts) == 1:
        return f"{jid.parse_local(text)}@{hosts[0]}"
    user = jid.parse_bare(text)
    if jid.split(user)[1] not in hosts:
        raise ValueError(f"{user!r} is at none of the served hosts ({', '.join(hosts)})")
    return user


async def import_archive(settings: Settings, users: Sequence[str]) -> None:
    """Imports these users' archives and shows how far it is. Raises ask.Failed."""
    with _Shown() as shown:
        async with aclosing(_steps(settings, users)) as steps:
            async for step in steps:
                if "error" in step:
                    raise ask.Failed(str(step["error"]))
                if "user" in step:
                    shown.step(step)


async def _steps(settings: Settings, users: Sequence[str]) -> AsyncGenerator[Step]:
    try:
        async with aclosing(ask.stream(settings.component.control_socket, "/import", {"users": list(users)})) as steps:
            async for step in steps:
                yield step
        return
    except ask.NotRunning:
        pass
    from component.app import NotStarted, importing

    try:
        async with aclosing(importing(settings, users)) as steps:
            async for step in steps:
                yield step
    except NotStarted as error:
        raise ask.Failed(str(error)) from None


class _Shown:
    """A bar per user on a terminal; else a line per user, when it is done."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[new]} new"), TimeRemainingColumn()
        )
        self._tasks: dict[str, TaskID] = {}
        self._last: dict[str, Step] = {}
        self._terminal = sys.stdout.isatty()

    def __enter__(self) -> "_Shown":
        if self._terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._terminal:
            self._bars.stop()
            return
        for user, step in self._last.items():
            output.note(f"{user}: {step['done']} messages, {step['new']} new")

    def step(self, step: Step) -> None:
        user = step["user"]
        self._last[user] = step
        if self._terminal:
            if user not in self._tasks:
                self._tasks[user] = self._bars.add_task(user, total=None, new=0)
            self._bars.update(self._tasks[user], completed=step["done"], total=step["total"], new=step["new"])
