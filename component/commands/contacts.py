"""Which contact a person means by what they typed."""

from collections.abc import Awaitable, Callable

from component.commands.model import BadField
from component.rules.rosters import Roster, matching
from stanzas.jid import bare, parse, split

Rosters = Callable[[str], Awaitable[Roster]]
"""A user's bare JID → their roster. Raises LookupError (no such user) or LinkDown."""


async def contact_of(user: str, typed: str, field: str, rosters: Rosters) -> str:
    """The bare JID of whom `user` means: any JID with a local part, or a contact's domain, local part or roster name.

    Raises BadField (nobody, or more than one), and as `rosters` does.
    """
    jid, wrong = "", ""
    try:
        jid = bare(parse(typed))
    except ValueError as error:
        wrong = str(error)
    if split(jid)[0]:
        return jid
    roster = await rosters(user)
    if jid in roster:
        return jid
    found = matching(roster, typed)
    if len(found) == 1:
        return found[0]
    if found:
        raise BadField(field, f"{typed!r} may be {' or '.join(found)}: give the JID")
    raise BadField(field, wrong if "@" in typed else f"{typed!r} is no contact: give a JID, like 'user@{split(user)[1]}'")
