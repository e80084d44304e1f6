"""Commands as the capabilities write them, and those who give them."""

from collections.abc import Sequence

from component.commands.model import Answer, Ask, Asker, BadField, Field, Refused, Row, Type, Values
from component.ports import LinkDown

ALICE = Asker("alice@example.org/phone", "alice@example.org", admin=False, local=True)
BOB = Asker("bob@example.org/phone", "bob@example.org", admin=False, local=True)
ADMIN = Asker("admin@example.org/desk", "admin@example.org", admin=True, local=True)
REMOTE = Asker("carol@example.net/web", "carol@example.net", admin=False, local=False)

OUTCOMES = [("online", "Online"), ("away", "Away"), ("dnd", "Do not disturb")]
CONFIRM = Field("confirm", "Open it", Type.BOOLEAN)


class Shop:
    """What the commands of these tests change."""

    def __init__(self) -> None:
        self.enabled = False
        self.window = 1800.0
        self.busy = "dnd"
        self.status: str | None = "Back soon"
        self.ran: list[tuple[str, Values]] = []
        self.link_down = False

    async def settings(self, _asker: Asker) -> Sequence[Field]:
        return (
            Field("enabled", "On", Type.BOOLEAN, self.enabled, required=True),
            Field("window", "Window", Type.DURATION, self.window, required=True, least=1, most=30 * 86400),
            Field("busy", "When busy", Type.CHOICE, self.busy, required=True, options=OUTCOMES),
            Field("status", "Status text", Type.TEXT, self.status),
        )

    async def set(self, _asker: Asker, values: Values) -> Answer:
        if self.link_down:
            raise LinkDown
        self.ran.append(("settings", values))
        self.enabled, self.window, self.busy, self.status = (values[name] for name in ("enabled", "window", "busy", "status"))
        return Answer("Saved.")

    async def list(self, _asker: Asker, _values: Values) -> Answer:
        if self.link_down:
            raise LinkDown
        return Answer("Two contacts.", [Row("bob@example.org", "level 1, score 41.5"), Row("<&>", "level 5")])

    async def fix_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            Field("who", "Contact", required=True),
            Field("outcome", "Always sees", Type.CHOICE, required=True, options=OUTCOMES),
            Field("for", "For", Type.DURATION),
        )

    async def fix(self, _asker: Asker, values: Values) -> Answer:
        if values["who"] == "stranger@example.org":
            raise BadField("who", "that is no contact of yours")
        self.ran.append(("fixed", values))
        return Answer(f"{values['who']} sees {values['outcome']}.")

    async def open_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            Field("door", "Door", Type.CHOICE, required=True, options=[("contacts", "Contacts"), ("files", "Files")]),
            Field("levels", "Levels", Type.CHOICES, (), options=[(str(n), f"Level {n}") for n in range(1, 6)]),
        )

    async def open(self, _asker: Asker, values: Values) -> Answer | Ask:
        if "confirm" not in values:
            return Ask("Three contacts gain by it.", [CONFIRM])
        if values["confirm"] and "5" in values["levels"]:
            raise BadField("levels", "level 5 can't be opened")
        self.ran.append(("open", values))
        return Answer("Opened." if values["confirm"] else "Nothing was changed.")

    async def refuse(self, _asker: Asker, _values: Values) -> Answer:
        raise Refused
