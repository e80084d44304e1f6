"""`explain`: why a contact sees what they see, in parts that the capabilities give (spec/10-presence.md, 30, 40)."""

from collections.abc import Awaitable, Callable, Sequence

from component.commands.model import Answer, Asker, BadField, Command, Field, Row, Type, Values

Part = Callable[[str, str], Awaitable[Sequence[Row]]]
"""(user, contact), both bare JIDs → rows. Raises LookupError (no such user) or LinkDown."""
Table = Callable[[str], Awaitable[Sequence[Row]]]
"""user → a row for each contact."""


class Explain:
    """Asks every part; the command and the command line share it."""

    def __init__(self, table: Table, parts: Sequence[Part]) -> None:
        self._table = table
        self._parts = parts

    async def rows(self, user: str, contact: str) -> list[Row]:
        """Raises LookupError (no such user) or LinkDown."""
        return [row for part in self._parts for row in await part(user, contact)]

    def command(self) -> Command:
        async def fields(_asker: Asker) -> Sequence[Field]:
            return (Field("contact", "Contact (empty: all of them)", Type.JID),)

        async def run(asker: Asker, values: Values) -> Answer:
            contact = values["contact"]
            try:
                if contact is None:
                    rows = await self._table(asker.bare)
                    return Answer(f"What each of your {len(rows)} contacts sees of you now.", rows)
                return Answer(f"What {contact} sees of you, and why.", await self.rows(asker.bare, contact.partition("/")[0]))
            except LookupError:
                raise BadField("contact", "your account is not known to the server") from None

        return Command(
            "explain",
            "Why a contact sees what they see",
            run,
            fields,
            words=("contact",),
            aliases=("why",),
            usage="why CONTACT",
            help="Says what a contact sees of you, why, and when it changes.",
            examples=("why bob@example.org",),
        )
