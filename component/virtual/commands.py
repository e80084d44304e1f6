"""S3's commands (spec/20-virtual.md, Commands).

A form can't show the present settings of a virtual user before it is known which one is meant: what `edit` leaves out is unchanged, and
`none` (`off` for `answer_within`) empties what may be empty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from component.commands.model import Answer, Asker, BadField, Command, Field, Refused, Row, Type, Values, admins
from component.rules import hours
from component.rules.distance import Place
from component.rules.presence import Show
from component.rules.routing import POLICIES
from component.virtual.deliveries import Conversation
from component.virtual.model import AVAILABLE_SHOWS, Paused, Profile, VirtualUser, WhenOffline
from component.virtual.replies import CannotTransfer, explain, reason
from component.virtual.service import NameTaken, Virtual
from component.virtual.team import Sub, Team
from config import durations, values
from stanzas.jid import bare, split

LONGEST = 30 * 86_400.0
"""Seconds: the most that a duration can be."""
LARGEST_CAPACITY = 10_000
MOST_ROWS = 500
"""Rows of a table: more would not fit into a stanza."""
NONE = "none"
OFF = ("off", NONE, "0", "0s")
_ACTIONS = [(action, action) for action in ("list", "add", "edit", "remove")]
_POLICIES = [(name, name) for name in POLICIES]
_SHOWS = [(show.value, show.value) for show in AVAILABLE_SHOWS]
_WHEN_OFFLINE = [("queue", "queue: kept until somebody is there"), ("bounce", "bounce: returned to the customer")]


def commands(virtual: Virtual) -> Sequence[Command]:
    admin, team = _Admin(virtual), _Team(virtual)
    return (
        Command(
            "virtual-users",
            "Virtual users",
            admin.users,
            admin.users_fields,
            may=admins,
            words=("action", "node", "name"),
            usage="virtual-users [list|add|edit|remove] [NODE] [NAME] [when_offline=queue|bounce] [history_expiry=…] [absence_grace=…] …",
            help="Lists, adds, changes or removes virtual users: one JID for a team.",
            examples=("virtual-users add shop 'The Bookshop'", "virtual-users edit shop answer_within=5m auto_pause=3"),
        ),
        Command(
            "virtual-members",
            "Sub-users of a virtual user",
            admin.members,
            admin.members_fields,
            may=admins,
            words=("action", "virtual", "member"),
            usage="virtual-members [list|add|edit|remove] VIRTUAL [MEMBER] [capacity=…] [lat=… lon=…] [hours=…] [attributes=KEY=VALUE]",
            help="Lists, adds, changes or removes the sub-users behind a virtual user.",
            examples=("virtual-members add shop ann@example.org capacity=3", "virtual-members edit shop ann@example.org hours=none"),
        ),
        Command(
            "virtual-policy",
            "Policies of a virtual user",
            admin.policy,
            admin.policy_fields,
            may=admins,
            words=("virtual", "policy"),
            usage="virtual-policy VIRTUAL [POLICY…] [try_customer=JID]",
            help="Says by which policies, in order, a sub-user is chosen. With try_customer it changes nothing, but says who would be.",
            examples=("virtual-policy shop latest nearest least-load", "virtual-policy shop try_customer=cat@example.org"),
        ),
        Command(
            "virtual-customers",
            "Attributes of customers",
            admin.customers,
            admin.customers_fields,
            may=admins,
            words=("action", "customer", "attributes"),
            usage="virtual-customers [list|add|edit|remove] [CUSTOMER] [KEY=VALUE…] [lat=… lon=…]",
            help="Says of a customer what their vCard does not, for the policies `attributes` and `nearest`.",
            examples=("virtual-customers add cat@example.org language=de level=senior",),
        ),
        Command(
            "conversations",
            "Open conversations",
            team.conversations,
            team.virtual_field,
            may=team.may,
            words=("virtual",),
            usage="conversations [VIRTUAL]",
            help="Lists the open conversations of a virtual user: customer, sub-user, since when, last message, waiting.",
        ),
        Command(
            "transfer",
            "Hand a conversation over",
            team.transfer,
            team.transfer_fields,
            may=team.may,
            words=("virtual", "customer", "to"),
            usage="transfer VIRTUAL CUSTOMER TO",
            help="Hands a customer's conversation to another sub-user.",
            examples=("transfer shop cat@example.org ben@example.org",),
        ),
        Command(
            "my-conversations",
            "My conversations",
            team.mine,
            may=team.is_member,
            help="Lists the conversations that you have as a sub-user.",
        ),
        Command(
            "pause",
            "Take no new conversation",
            team.pause,
            team.pause_fields,
            may=team.is_member,
            words=("paused",),
            usage="pause on|off",
            help="On: you get no new conversation; those that you have stay yours.",
        ),
    )


class _Admin:
    def __init__(self, virtual: Virtual) -> None:
        self._virtual = virtual

    # --- virtual-users ---

    async def users_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            Field("action", "What to do", Type.CHOICE, "list", required=True, options=_ACTIONS),
            Field("node", "Node (the part before the @)"),
            Field("name", "Name that customers see"),
            Field("when_offline", "When nobody is available", Type.CHOICE, options=_WHEN_OFFLINE),
            Field("history_expiry", "A customer comes back to the same person for", Type.DURATION, least=1.0, most=LONGEST),
            Field("absence_grace", "One who went away is waited for", Type.DURATION, least=0.0, most=LONGEST),
            Field("answer_within", "An unanswered customer goes on after (off: never)", help="5m"),
            Field("auto_pause", "Pause who let so many customers go by (0: never)", Type.WHOLE, least=0, most=1_000_000),
            Field("available_shows", "Available while", Type.CHOICES, options=_SHOWS),
        )

    async def users(self, _asker: Asker, given: Values) -> Answer:
        if given["action"] == "list":
            teams = [self._virtual.teams[node] for node in sorted(self._virtual.teams)]
            return Answer(_count(len(teams), "virtual user") + ".", [Row(team.node, _settings(team)) for team in teams])
        node = _node(given["node"])
        team = self._virtual.teams.get(node)
        try:
            if given["action"] == "remove":
                await self._virtual.remove_user(_known(team, "node", node).node)
                return Answer(f"{node} is removed.")
            if given["action"] == "add" and team is not None:
                raise BadField("node", f"there is a virtual user {node!r} already")
            before = VirtualUser(node, "") if given["action"] == "add" else _known(team, "node", node).settings
            user = _changed(before, given)
            await self._virtual.save_user(user)
        except NameTaken as error:
            raise BadField("node", str(error)) from None
        word = "added" if given["action"] == "add" else "changed"
        return Answer(f"{node} is {word}.", [Row(node, _settings(self._virtual.teams[node]))])

    # --- virtual-members ---

    async def members_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            _virtual_field(sorted(self._virtual.teams)),
            Field("action", "What to do", Type.CHOICE, "list", required=True, options=_ACTIONS),
            Field("member", "Sub-user (a bare JID, or a full one)", Type.JID),
            Field("capacity", "Conversations open at a time", Type.WHOLE, least=1, most=LARGEST_CAPACITY),
            Field("lat", "Degrees north", Type.NUMBER, least=-90, most=90),
            Field("lon", "Degrees east", Type.NUMBER, least=-180, most=180),
            Field("hours", "Working hours", help="Mon-Fri 09:00-17:00 Europe/Berlin; Sat 10:00-14:00 Europe/Berlin"),
            Field("attributes", "Attributes, one key=value a line", Type.LINES, help="language=de, en"),
        )

    async def members(self, _asker: Asker, given: Values) -> Answer:
        team = self._virtual.teams[given["virtual"]]
        if given["action"] == "list":
            subs = sorted(team.subs.values(), key=lambda sub: sub.jid)
            return Answer(f"{team.node} has {_count(len(subs), 'sub-user')}.", [Row(sub.jid, _state(sub)) for sub in subs[:MOST_ROWS]])
        member = given["member"]
        if member is None:
            raise BadField("member", "it is needed")
        profiles = {sub.jid: sub.profile for sub in team.subs.values()}
        if given["action"] == "add":
            if member in profiles:
                raise BadField("member", f"{member} is a sub-user of {team.node} already")
            if not split(member)[0] or split(member)[1] == self._virtual.domain:
                raise BadField("member", f"{member} can't be a sub-user: a sub-user is a person on a server")
            profiles[member] = _profile(Profile(member), given)
        elif member not in profiles:
            raise BadField("member", f"{member} is no sub-user of {team.node}")
        elif given["action"] == "edit":
            profiles[member] = _profile(profiles[member], given)
        else:
            del profiles[member]
        await self._virtual.save_members(team, list(profiles.values()))
        if given["action"] == "remove":
            return Answer(f"{member} is no sub-user of {team.node} any more.")
        word = "added" if given["action"] == "add" else "changed"
        return Answer(f"{member} is {word}.", [Row(member, _state(team.subs[member]))])

    # --- virtual-policy ---

    async def policy_fields(self, _asker: Asker) -> Sequence[Field]:
        nodes = sorted(self._virtual.teams)
        policy = self._virtual.teams[nodes[0]].settings.policy if len(nodes) == 1 else None
        return (
            _virtual_field(nodes),
            Field("policy", "Policies, in their order", Type.CHOICES, policy, options=_POLICIES, ordered=True),
            Field("try_customer", "Only say who would get a message of this customer", Type.JID),
        )

    async def policy(self, _asker: Asker, given: Values) -> Answer:
        team = self._virtual.teams[given["virtual"]]
        if given["try_customer"] is not None:
            customer = bare(given["try_customer"])
            if not split(customer)[0]:
                raise BadField("try_customer", f"{customer} is nobody's JID: it has no @")
            choice = await self._virtual.try_customer(team, customer, given["policy"] or team.settings.policy)
            rows = [Row(jid, reason(why)) for jid, why in sorted(choice.considered.items())]
            return Answer(f"{customer}: {explain(team, replace(choice, considered={}))}", rows)
        if given["policy"]:
            await self._virtual.save_user(replace(team.settings, policy=tuple(given["policy"])))
        return Answer(f"{team.node} chooses by {', '.join(team.settings.policy)}.")

    # --- virtual-customers ---

    async def customers_fields(self, _asker: Asker) -> Sequence[Field]:
        return (
            Field("action", "What to do", Type.CHOICE, "list", required=True, options=_ACTIONS),
            Field("customer", "Customer", Type.JID),
            Field("attributes", "Attributes, one key=value a line", Type.LINES, help="language=de"),
            Field("lat", "Degrees north", Type.NUMBER, least=-90, most=90),
            Field("lon", "Degrees east", Type.NUMBER, least=-180, most=180),
        )

    async def customers(self, _asker: Asker, given: Values) -> Answer:
        declared = self._virtual.conversations.declared
        if given["action"] == "list":
            rows = [Row(jid, _said(profile) or "nothing") for jid, profile in sorted(declared.items())]
            return Answer(f"Something is said of {_count(len(rows), 'customer')}.", rows)
        if given["customer"] is None:
            raise BadField("customer", "it is needed")
        customer = bare(given["customer"])
        if given["action"] != "add" and customer not in declared:
            raise BadField("customer", f"nothing is said of {customer}")
        if given["action"] == "remove":
            await self._virtual.save_customer(customer, None)
            return Answer(f"Nothing is said of {customer} any more.")
        before = declared.get(customer, Profile(customer)) if given["action"] == "edit" else Profile(customer)
        profile = _profile(before, {**given, "capacity": None, "hours": None})
        await self._virtual.save_customer(customer, profile)
        return Answer(f"{customer}: {_said(profile) or 'nothing'}.")


class _Team:
    def __init__(self, virtual: Virtual) -> None:
        self._virtual = virtual

    async def may(self, asker: Asker) -> bool:
        return asker.admin or await self.is_member(asker)

    async def is_member(self, asker: Asker) -> bool:
        return bool(self._virtual.teams_of(asker.jid))

    def _teams(self, asker: Asker) -> Mapping[str, Team]:
        teams = self._virtual.teams.values() if asker.admin else self._virtual.teams_of(asker.jid)
        return {team.node: team for team in sorted(teams, key=lambda team: team.node)}

    async def virtual_field(self, asker: Asker) -> Sequence[Field]:
        return (_virtual_field(list(self._teams(asker))),)

    async def conversations(self, asker: Asker, given: Values) -> Answer:
        team = self._teams(asker)[given["virtual"]]
        found = self._virtual.conversations.of_team(team)
        rows = [Row(one.customer, _told(one)) for one in found[-MOST_ROWS:]]
        last = f" The last {MOST_ROWS} are:" if len(found) > MOST_ROWS else ""
        return Answer(f"{team.node} has {_count(len(found), 'open conversation')}.{last}", rows)

    async def mine(self, asker: Asker, _given: Values) -> Answer:
        rows = []
        for team in self._virtual.teams_of(asker.jid):
            sub = team.of(asker.jid)
            for one in self._virtual.conversations.of_team(team):
                if sub is not None and one.member == sub.jid:
                    rows.append(Row(one.customer, f"{team.node}, {one.address}, {_times(one)}"))
        return Answer(f"You have {_count(len(rows), 'conversation')}.", rows)

    async def transfer_fields(self, asker: Asker) -> Sequence[Field]:
        return (
            *await self.virtual_field(asker),
            Field("customer", "Customer", Type.JID, required=True),
            Field("to", "Sub-user who gets the conversation", Type.JID, required=True),
        )

    async def transfer(self, asker: Asker, given: Values) -> Answer:
        team = self._teams(asker)[given["virtual"]]
        customer = bare(given["customer"])
        conversation = self._virtual.conversations.of(team, customer)
        if conversation is None:
            raise BadField("customer", f"{customer} has no open conversation with {team.node}")
        try:
            sub = await self._virtual.replies.transfer(team, conversation, given["to"])
        except CannotTransfer as error:
            raise BadField("to", str(error)) from None
        return Answer(f"{customer} is handed to {sub.jid}.")

    async def pause_fields(self, asker: Asker) -> Sequence[Field]:
        subs = [sub for _, sub in self._own(asker)]
        paused = any(sub.paused is not Paused.NO for sub in subs)
        return (Field("paused", "Take no new conversation", Type.BOOLEAN, paused, required=True),)

    async def pause(self, asker: Asker, given: Values) -> Answer:
        own = self._own(asker)
        if not own:
            raise Refused
        for team, sub in own:
            await self._virtual.pause(team, sub, Paused.BY_HAND if given["paused"] else Paused.NO)
        return Answer("You get no new conversation." if given["paused"] else "You get new conversations.")

    def _own(self, asker: Asker) -> Sequence[tuple[Team, Sub]]:
        return [(team, sub) for team in self._virtual.teams_of(asker.jid) if (sub := team.of(asker.jid)) is not None]


def _virtual_field(nodes: Sequence[str]) -> Field:
    """Which virtual user; the only one need not be named."""
    only = nodes[0] if len(nodes) == 1 else None
    return Field("virtual", "Virtual user", Type.CHOICE, only, required=True, options=[(node, node) for node in nodes])


def _node(given: str | None) -> str:
    if given is None:
        raise BadField("node", "it is needed")
    try:
        return values.node(given)
    except ValueError as error:
        raise BadField("node", str(error)) from None


def _known(team: Team | None, field: str, node: str) -> Team:
    if team is None:
        raise BadField(field, f"there is no virtual user {node!r}")
    return team


def _changed(user: VirtualUser, given: Values) -> VirtualUser:
    """The settings with what was given. Raises BadField."""
    name = " ".join((given["name"] or user.name).split())
    if not name:
        raise BadField("name", "it is needed")
    changes: dict[str, Any] = {"name": name}
    for key in ("history_expiry", "absence_grace", "auto_pause"):
        if given[key] is not None:
            changes[key] = given[key]
    if given["answer_within"] is not None:
        changes["answer_within"] = _answer_within(given["answer_within"])
    if given["when_offline"] is not None:
        changes["when_offline"] = WhenOffline(given["when_offline"])
    if given["available_shows"]:
        changes["available_shows"] = tuple(Show(show) for show in given["available_shows"])
    return replace(user, **changes)


def _answer_within(text: str) -> float | None:
    if text.strip().lower() in OFF:
        return None
    try:
        seconds = durations.parse(text)
    except ValueError as error:
        raise BadField("answer_within", f"{error}; or off") from None
    if not 1 <= seconds <= LONGEST:
        raise BadField("answer_within", f"it is between 1s and {durations.format(LONGEST)}, or off")
    return seconds


def _profile(profile: Profile, given: Values) -> Profile:
    """The profile with what was given. Raises BadField."""
    changes: dict[str, Any] = {}
    if given["capacity"] is not None:
        changes["capacity"] = given["capacity"]
    lat, lon = given["lat"], given["lon"]
    if (lat is None) != (lon is None):
        raise BadField("lat" if lat is None else "lon", "a place has both, lat and lon")
    if lat is not None and lon is not None:
        changes["place"] = Place(lat, lon)
    if given["hours"] is not None:
        changes["hours"] = _hours(given["hours"])
    if given["attributes"]:
        changes["attributes"] = _attributes(given["attributes"])
    return replace(profile, **changes)


def _hours(text: str) -> hours.Hours | None:
    if text.strip().lower() == NONE:
        return None
    try:
        return hours.parse(text)
    except ValueError as error:
        raise BadField("hours", str(error)) from None


def _attributes(lines: Sequence[str]) -> Mapping[str, str]:
    if [line.strip().lower() for line in lines] == [NONE]:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        key, sign, value = (part.strip() for part in line.partition("="))
        if not (key and sign and value):
            raise BadField("attributes", f"{line!r} is no key=value")
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _settings(team: Team) -> str:
    user = team.settings
    answer = f"answer within {durations.format(user.answer_within)}" if user.answer_within else "answer at any time"
    pause = f", pause after {user.auto_pause}" if user.auto_pause else ""
    return (
        f"{user.name}: {_count(len(team.subs), 'sub-user')}, {len(team.there())} available; policy {', '.join(user.policy)}; "
        f"{user.when_offline.value} when offline, history {durations.format(user.history_expiry)}, "
        f"grace {durations.format(user.absence_grace)}, {answer}{pause}; available while {', '.join(s.value for s in user.available_shows)}"
    )


def _state(sub: Sub) -> str:
    here = "available" if sub.available else "not available"
    paused = "" if sub.paused is Paused.NO else f", paused ({sub.paused.value})"
    return f"{here}{paused}, {len(sub.customers)} of {sub.profile.capacity} conversations{_behind(_said(sub.profile))}"


def _said(profile: Profile) -> str:
    """What is said of somebody beyond their JID."""
    said = [f"{key}={value}" for key, value in profile.attributes.items()]
    if profile.place is not None:
        said.append(f"at {profile.place.lat:g} {profile.place.lon:g}")
    if profile.hours is not None:
        said.append(hours.written(profile.hours))
    return "; ".join(said)


def _behind(text: str) -> str:
    return f"; {text}" if text else ""


def _told(conversation: Conversation) -> str:
    waiting = sum(delivery.says for delivery in conversation.waiting)
    return f"{conversation.member or 'nobody'}, {_times(conversation)}, waiting {waiting}"


def _times(conversation: Conversation) -> str:
    return f"since {_time(conversation.opened_at)}, last message {_time(conversation.last_at)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
