"""Who of a team is available, and what the team's virtual user shows (spec/20-virtual.md, Names and status)."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from component.rules.presence import Show


@dataclass(frozen=True, slots=True)
class Resource:
    """One available resource of a sub-user."""

    show: Show
    priority: int = 0


Resources = Mapping[str, Resource]
"""Full JID → resource."""


def of_member(member: str, resources: Resources) -> Iterable[Resource]:
    """The resources that are the member's: all of a bare JID, the one of a full JID."""
    if "/" not in member:
        return resources.values()
    return (resources[member],) if member in resources else ()


def is_available(resources: Iterable[Resource], shows: Collection[Show]) -> bool:
    """Whether one of the resources takes messages (priority ≥ 0: RFC 6121, 8.5.2.1.1) and has one of these shows."""
    return any(resource.priority >= 0 and resource.show in shows for resource in resources)


def aggregate(resources: Iterable[Resource]) -> Show:
    """What the virtual user shows: ONLINE, DND, AWAY or OFFLINE. Resources that take no messages do not count."""
    shows = {resource.show for resource in resources if resource.priority >= 0}
    if shows & {Show.ONLINE, Show.CHAT}:
        return Show.ONLINE
    if Show.DND in shows:
        return Show.DND
    if shows & {Show.AWAY, Show.XA}:
        return Show.AWAY
    return Show.OFFLINE
