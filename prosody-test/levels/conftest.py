"""The scene of S4's stories."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rig import levels
from rig.scene import Scene
from rig.server import Contact, Host, Rosters

ALICE = "alice@localhost"


@pytest.fixture
async def around_alice(scene: Callable[..., Awaitable[Scene]]) -> Callable[..., Awaitable[Scene]]:
    """`await around_alice()`: alice, her contacts level1 … level5, each pinned to that level, and a stranger; all online.

    `also`: contacts of hers besides, who are pinned to nothing. `users`: more accounts, with their rosters. What is left is for the scene.
    """

    async def make(*also: str, users: Rosters | None = None, **kwargs: Any) -> Scene:
        pinned = {f"level{number}": number for number in range(1, 6)}
        people = (*pinned, *also)
        accounts = {
            "alice": [Contact(f"{name}@localhost", name=name.title()) for name in people],
            **{name: [Contact(ALICE, name="Alice")] for name in people},
            "stranger": [],
            **(users or {}),
        }
        made = await scene("alice", *people, "stranger", hosts=[Host(users=accounts)], **kwargs)
        for name, level in pinned.items():
            await levels.pin(made["alice"], f"{name}@localhost", level)
        return made

    return make
