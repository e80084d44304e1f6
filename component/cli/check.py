"""`rapport check`: whether all that the config needs works."""

from collections.abc import Sequence

from component.checks import Check
from component.cli import ask, output
from config.settings import Settings


async def checks(settings: Settings) -> Sequence[Check]:
    """What a running component finds; if none runs, what a connection of our own finds. Raises ask.Failed."""
    try:
        rows = await ask.get(settings.component.control_socket, "/check")
    except ask.NotRunning:
        pass
    else:
        return [Check(*row) for row in rows]
    # Slow to import, and not needed beside a running component.
    from component.app import probe

    return await probe(settings)


def show(found: Sequence[Check]) -> bool:
    """Prints the table, and returns whether all works."""
    rows = []
    for each in found:
        detail = " ".join(each.detail.split())
        mend = f"; mend: {each.mend}" if each.mend and not each.ok else ""
        rows.append((each.name, "ok" if each.ok else "FAILS", detail + mend))
    output.table(rows, ("check", "state", "detail"))
    return all(each.ok for each in found)
