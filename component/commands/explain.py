"""`explain`: why a contact sees what they see, in parts that the capabilities give (spec/10-presence.md, 30, 40)."""

from collections.abc import Awaitable, Callable, Sequence

from component.commands.contacts import Rosters, contact_of
from component.commands.model import Answer, Asker, BadField, Command, Field, Row, Type, Values

Part = Callable[[str, str], Awaitable[Sequence[Row]]]
"""(user, contact), both bare JIDs → rows. Raises LookupError (no such user) or LinkDown."""
Table = Callable[[str], Awaitable[Sequence[Row]]]
"""user → a row for each contact."""


class Explain:
    """Asks every part; the command and the command line share it."""

    def __init__(self, table: Table, parts: Sequence[Part], rosters: Rosters) -> None:
        self._table = table
        self._parts = parts
        self._rosters = rosters

    async def answer(self, user: str, typed: str, called: str) -> Answer:
        """Of the contact whom the user, `called` so, means. Raises BadField, LookupError (no such user) or LinkDown."""
        contact = await contact_of(user, typed, "contact", self._rosters)
        rows = [row for part in self._parts for row in await part(user, contact)]
        return Answer(f"What {contact} sees of {called}, and why.", rows)

    def command(self) -> Command:
        async def fields(_asker: Asker) -> Sequence[Field]:
            return (Field("contact", "Contact (empty: all of them)", Type.CONTACT),)

        async def run(asker: Asker, values: Values) -> Answer:
            try:
                if values["contact"] is None:
                    rows = await self._table(asker.bare)
                    return Answer("What each of your contacts sees of you now.", rows)
                return await self.answer(asker.bare, values["contact"], "you")
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
