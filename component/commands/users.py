"""What is kept of users, for admins: who is known, all that is kept of one, and its end (spec/00-overview.md, Command line)."""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from component.commands.model import Answer, Ask, Asker, Command, Field, Row, Type, Values, admins
from stanzas.jid import bare, split


class Records(Protocol):
    """The part of ledger/erase.py that is asked here."""

    async def users(self) -> Mapping[str, Mapping[str, int]]: ...
    async def export(self, user: str) -> Mapping[str, Sequence[Mapping[str, Any]]]: ...


_CONFIRM = Field("confirm", "Erase it", Type.BOOLEAN, False)


def commands(
    records: Records, erase: Callable[[str], Awaitable[None]], served_hosts: Collection[str], now: Callable[[], float]
) -> Sequence[Command]:
    """`erase` forgets a bare JID, in memory too; it raises LinkDown. `now` tells UNIX seconds."""
    asked = _Users(records, erase, frozenset(served_hosts), now)
    return (
        Command(
            "users",
            "Users of whom something is kept",
            asked.users,
            may=admins,
            help="Lists the users of the served hosts of whom something is kept, and how much, by table.",
        ),
        Command(
            "export",
            "All that is kept of a user",
            asked.export,
            _fields,
            may=admins,
            words=("user",),
            usage="export USER",
            help="Tells all that is kept of a user or contact; on the command line as one JSON document.",
            examples=("export alice@example.org",),
        ),
        Command(
            "erase",
            "Erase all that is kept of a user",
            asked.erase,
            _fields,
            may=admins,
            words=("user",),
            usage="erase USER [confirm=yes]",
            help="Forgets all that is kept of a user or contact, what others wrote to them and said of them too. Their account stays.",
            examples=("erase alice@example.org confirm=yes",),
            asks=(_CONFIRM,),
        ),
    )


async def _fields(_asker: Asker) -> Sequence[Field]:
    return (Field("user", "User", Type.JID, required=True),)


class _Users:
    def __init__(
        self, records: Records, erase: Callable[[str], Awaitable[None]], served_hosts: frozenset[str], now: Callable[[], float]
    ) -> None:
        self._records, self._erase, self._served_hosts, self._now = records, erase, served_hosts, now

    async def users(self, _asker: Asker, _values: Values) -> Answer:
        known = await self._records.users()
        local = sorted(user for user in known if split(user)[1] in self._served_hosts)
        return Answer(f"Of {_number(len(local), 'user')} something is kept.", [Row(user, _counted(known[user])) for user in local])

    async def export(self, _asker: Asker, values: Values) -> Answer:
        user = bare(values["user"])
        kept = await self._records.export(user)
        at = datetime.fromtimestamp(self._now(), UTC).isoformat(timespec="seconds")
        document = json.dumps({"user": user, "exported_at": at, "records": kept}, indent=1)
        numbered = [(f"{table} {number}", row) for table, found in kept.items() for number, row in enumerate(found, 1)]
        rows = [Row(name, json.dumps(row, ensure_ascii=False)) for name, row in numbered]
        return Answer(f"{_summary(user, kept)}.", rows, document)

    async def erase(self, _asker: Asker, values: Values) -> Answer | Ask:
        user = bare(values["user"])
        if "confirm" not in values:
            return Ask(f"{_summary(user, await self._records.export(user))}. Erased, it can't be had back.", (_CONFIRM,))
        if not values["confirm"]:
            return Answer("Nothing was erased.")
        await self._erase(user)
        return Answer(f"Nothing is kept of {user} any more.")


def _summary(user: str, kept: Mapping[str, Sequence[object]]) -> str:
    if not kept:
        return f"Nothing is kept of {user}"
    return f"This is kept of {user}: {_counted({table: len(rows) for table, rows in kept.items()})}"


def _counted(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{table} {number}" for table, number in sorted(numbers.items()))


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
