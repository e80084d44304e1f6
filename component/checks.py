"""A line of what `rapport check` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """Whether one part of what the config needs works."""

    name: str
    """`stream`, `link example.org`, `roster`, …"""
    ok: bool
    detail: str
    """What was seen, in a few words: the server and link version, or what went wrong."""
    mend: str = ""
    """Where it fails: the server option that mends it."""
