"""S0's commands: `presence` and `presence-always` (spec/10-presence.md, Commands), and its part of `explain`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from component.commands.contacts import Rosters, contact_of
from component.commands.explain import Part, Table
from component.commands.model import Answer, Asker, BadField, Command, Field, Row, Type, Values
from component.presence.service import Explained, Presence
from component.presence.store import Settings
from component.rules.presence import GROUP, OUTCOMES, Case, Outcome, Rules, Show
from component.rules.rosters import group_of
from config import durations
from stanzas.jid import split

LEAST, MOST = 1.0, 30 * 86400.0
"""Seconds: the range of the windows (spec/10-presence.md)."""
LONGEST_RULE = 36_500 * 86400.0
"""Seconds that an `always` rule may be set for."""
LONGEST_STATUS = 1024
LONGEST_GROUP = 1024
MOST_RULES = 500
"""Of one user; all are kept in memory."""

_LABELS = {
    Case.TALKING: "Contacts you wrote to lately see",
    Case.UNANSWERED: "Contacts you have not answered see",
    Case.BUSY: "All others see, while messages are unread",
    Case.FREE: "All others see, otherwise",
}
_OUTCOMES = [(show.value, show.value) for show in OUTCOMES]
_RULES = "rules"
_OFF = "Presence rules are off: everybody sees your own presence."


def commands(presence: Presence, rosters: Rosters, now: Callable[[], float]) -> Sequence[Command]:
    async def settings_fields(asker: Asker) -> Sequence[Field]:
        settings = presence.settings(asker.bare)
        rules = settings.rules
        windows = (
            ("sent_window", "After you wrote, a contact counts as talking for", rules.sent_window),
            ("received_window", "After a contact wrote, they count as unanswered for", rules.received_window),
            ("unread_max_age", "Unread messages count for", rules.unread_max_age),
        )
        return (
            Field("enabled", "Show each contact the presence that fits", Type.BOOLEAN, settings.enabled, required=True),
            *(Field(name, label, Type.DURATION, value, required=True, least=LEAST, most=MOST) for name, label, value in windows),
            *(
                Field(case.value, _LABELS[case], Type.CHOICE, rules.outcome(case).show.value, required=True, options=_OUTCOMES)
                for case in Case
            ),
            *(
                Field(f"status_{case.value}", f"Status text while {case.value} (empty: your own)", Type.TEXT, rules.outcome(case).status)
                for case in Case
            ),
        )

    async def set_presence(asker: Asker, values: Values) -> Answer:
        rules = _rules(values)
        settings = await presence.change(asker.bare, lambda before: replace(before, enabled=values["enabled"], rules=rules))
        return Answer(_said(settings), _settings_rows(settings))

    async def always_fields(_asker: Asker) -> Sequence[Field]:
        return (
            Field("who", "Contact (JID or name) or group:NAME", required=True),
            Field("outcome", "Always sees", Type.CHOICE, required=True, options=[*_OUTCOMES, (_RULES, "what the rules say (ends it)")]),
            Field("for", "For (empty: for good)", Type.DURATION, least=LEAST, most=LONGEST_RULE),
        )

    async def set_always(asker: Asker, values: Values) -> Answer:
        who = await _who(asker.bare, values["who"], rosters)
        outcome = None if values["outcome"] == _RULES else Outcome(Show(values["outcome"]))
        length = values["for"]
        others = [other for other, rule in presence.settings(asker.bare).always.items() if other != who and rule.holds(now())]
        if outcome is not None and len(others) >= MOST_RULES:
            raise BadField("who", f"there are {MOST_RULES} rules already: end one first")
        await presence.set_always(asker.bare, who, outcome, now() + length if length is not None else None)
        if outcome is None:
            note = f"{who} sees what the rules say."
        else:
            note = f"{who} always sees {outcome.show.value}" + (f" for {durations.format(length)}." if length else ".")
        settings = presence.settings(asker.bare)
        return Answer(note if settings.enabled else f"{note} {_OFF}", _always_rows(settings, now()))

    return (
        Command(
            "presence",
            "Presence rules",
            set_presence,
            settings_fields,
            words=("enabled",),
            usage="presence on|off [sent_window=30m] [busy=dnd] [status_busy='Back soon'] …",
            help="Switches presence rules on or off and sets what each contact sees.",
            examples=("presence on", "presence on sent_window=10m unanswered=xa"),
        ),
        Command(
            "presence-always",
            "Fixed presence for a contact or group",
            set_always,
            always_fields,
            words=("who", "outcome", "for"),
            aliases=("always",),
            usage="always CONTACT|group:NAME OUTCOME|rules [DURATION]",
            help="Shows one contact or roster group the same presence whatever the rules say.",
            examples=("always boss@example.org online", "always group:Friends chat 2h", "always boss@example.org rules"),
        ),
    )


def explain_rows(presence: Presence, now: Callable[[], float]) -> Part:
    """S0's part of `explain`: case, evidence, what is shown, when it changes."""

    async def rows(user: str, contact: str) -> Sequence[Row]:
        explained = await presence.explain(user, contact)
        at = now()
        return (
            Row("Presence", _presence(presence.settings(user), explained)),
            Row("Because", _because(presence.settings(user), explained, at)),
            Row("Changes", _changes(presence.settings(user), explained, at)),
        )

    return rows


def explain_table(presence: Presence) -> Table:
    """All contacts, as each one sees the user now."""

    async def rows(user: str) -> Sequence[Row]:
        settings = presence.settings(user)
        return [Row(explained.contact, _presence(settings, explained)) for explained in await presence.explain_all(user)]

    return rows


def _rules(values: Values) -> Rules:
    for case in Case:
        if len(values[f"status_{case.value}"] or "") > LONGEST_STATUS:
            raise BadField(f"status_{case.value}", f"it is longer than {LONGEST_STATUS} characters")
    outcomes = tuple((case, Outcome(Show(values[case.value]), values[f"status_{case.value}"] or "")) for case in Case)
    return Rules(values["sent_window"], values["received_window"], values["unread_max_age"], outcomes)


async def _who(user: str, text: str, rosters: Rosters) -> str:
    try:
        if not text.casefold().startswith(GROUP):
            return await contact_of(user, text, "who", rosters)
        group = text[len(GROUP) :].strip()
        if not group:
            raise BadField("who", "the group's name is missing after group:")
        if len(group) > LONGEST_GROUP:
            raise BadField("who", f"the group's name is longer than {LONGEST_GROUP} characters")
        return GROUP + group_of(await rosters(user), group)
    except LookupError:
        raise BadField("who", "your account is not known to the server") from None


def _said(settings: Settings) -> str:
    if not settings.enabled:
        return _OFF
    return "Presence rules are on."


def _settings_rows(settings: Settings) -> list[Row]:
    rules = settings.rules
    return [
        *(Row(case.value, _outcome(rules.outcome(case))) for case in Case),
        Row("windows", f"sent {durations.format(rules.sent_window)}, received {durations.format(rules.received_window)}"),
        Row("unread counts for", durations.format(rules.unread_max_age)),
    ]


def _always_rows(settings: Settings, now: float) -> list[Row]:
    return [
        Row(rule.who, _outcome(rule.outcome) + (f" until {_time(rule.until, now)}" if rule.until is not None else ""))
        for rule in settings.always.values()
        if rule.holds(now)
    ]


def _outcome(outcome: Outcome) -> str:
    return outcome.show.value + (f" ({outcome.status})" if outcome.status else "")


def _presence(settings: Settings, explained: Explained) -> str:
    if explained.hidden:
        return f"nothing ({explained.hidden})"
    if not explained.sees:
        return "offline"
    case = explained.verdict.case.value if explained.verdict.case else "always"
    why = f" ({case})" if settings.enabled else " (presence rules are off)"
    seen = {jid: _outcome(seen.outcome) if seen.outcome else f"{seen.show.value}, own presence" for jid, seen in explained.sees.items()}
    if len(set(seen.values())) == 1:
        return next(iter(seen.values())) + why
    return ", ".join(f"{text} at {split(jid)[2]}" for jid, text in seen.items()) + why


def _because(settings: Settings, explained: Explained, now: float) -> str:
    recent, rules = explained.recent, settings.rules
    unread = f"newest unread message, from {explained.unread_of}," if explained.newest_unread else ""
    said = [
        _ago("you wrote", recent.sent_at, rules.sent_window, now),
        _ago("they wrote", recent.received_at, rules.received_window, now),
        _ago(unread, explained.newest_unread, rules.unread_max_age, now) if unread else "nothing unread",
    ]
    return "; ".join((*explained.verdict.because, *said) if explained.verdict.case is None else said)


def _ago(what: str, at: float, window: float, now: float) -> str:
    ago = f"{what} {durations.format(max(0.0, float(round(now - at))))} ago" if at else f"{what}: never"
    return f"{ago} (counts for {durations.format(window)})"


def _changes(settings: Settings, explained: Explained, now: float) -> str:
    until = explained.verdict.until if settings.enabled and not explained.hidden else None
    return f"at {_time(until, now)}" if until is not None else "not by itself"


def _time(at: float, now: float) -> str:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{stamp} (in {durations.format(max(0.0, float(round(at - now))))})"
