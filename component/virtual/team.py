"""A virtual user's team as it is now, in memory: who is there, paused, how many conversations each has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from component.rules.distance import Place
from component.rules.presence import Show
from component.rules.routing import Member
from component.rules.team_status import Resource
from component.virtual.model import Paused, Profile, VirtualUser, attributes_of
from stanzas.jid import bare


@dataclass(slots=True)
class Sub:
    """A sub-user. Change it by `change`, so that `member` follows."""

    profile: Profile
    paused: Paused = Paused.NO
    resources: tuple[Resource, ...] = ()
    """The available resources that are theirs."""
    available: bool = False
    away_since: float = 0.0
    """When they were seen to leave."""
    customers: set[str] = field(default_factory=set)
    """Of their open conversations."""
    turn: int = 0
    """The newest record that gave them a conversation."""
    active_at: float = 0.0
    located: Place | None = None
    """Where they say they are (XEP-0080); else where the configuration says."""
    asked_at: float = 0.0
    """When they were last asked where they are."""
    round_trip: float | None = None
    missed: int = 0
    """How many customers they let go by since their last message."""
    _member: Member | None = None

    @property
    def jid(self) -> str:
        return self.profile.jid

    @property
    def member(self) -> Member:
        """As a routing decision sees them."""
        if self._member is None:
            self._member = Member(
                self.profile.jid,
                self.available,
                self.paused is not Paused.NO,
                len(self.customers),
                self.profile.capacity,
                self.turn,
                self.active_at,
                self.located or self.profile.place,
                self.profile.hours,
                attributes_of(self.profile.attributes),
                self.round_trip,
            )
        return self._member

    def changed(self) -> None:
        """To be called after any change."""
        self._member = None


@dataclass(slots=True)
class Team:
    settings: VirtualUser
    seed: str | None
    """What the configuration said; None: the virtual user was added live."""
    subs: dict[str, Sub] = field(default_factory=dict)
    accounts: frozenset[str] = frozenset()
    """The bare JIDs of its sub-users."""
    shown: Show = Show.OFFLINE
    """What subscribers saw last."""
    unknown: set[str] = field(default_factory=set)
    """Bare JIDs whose servers were asked who is there, and have not answered yet."""
    located_at: float | None = None
    """When its sub-users were last asked where they are; None: not since somebody came."""

    @property
    def node(self) -> str:
        return self.settings.node

    def of(self, sender: str) -> Sub | None:
        """The sub-user whom a full JID is: by itself, or by its bare JID."""
        return self.subs.get(sender) or self.subs.get(bare(sender))

    def members(self) -> Sequence[Member]:
        return [sub.member for sub in self.subs.values()]

    def there(self) -> Sequence[Sub]:
        """Who is available, by JID."""
        return sorted((sub for sub in self.subs.values() if sub.available), key=lambda sub: sub.jid)


def replace_profiles(team: Team, profiles: Mapping[str, tuple[Profile, Paused]]) -> Sequence[Sub]:
    """Make the team these sub-users; what is known of those who stay is kept. Returns those who are gone."""
    gone = [sub for jid, sub in team.subs.items() if jid not in profiles]
    subs: dict[str, Sub] = {}
    for jid, (profile, paused) in profiles.items():
        sub = team.subs.get(jid) or Sub(profile)
        sub.profile, sub.paused = profile, paused
        sub.changed()
        subs[jid] = sub
    team.subs, team.accounts = subs, frozenset(map(bare, subs))
    return gone
