"""A registry of the sample commands."""

import pytest

from component.commands.model import Command, admins, anyone
from component.commands.registry import Registry
from tests.commands.samples import CONFIRM, Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def registry(shop: Shop) -> Registry:
    return Registry(
        [
            Command("settings", "Settings", shop.set, shop.settings, words=("enabled",), usage="settings on|off", help="Sets things."),
            Command("levels", "Levels", shop.list, help="Lists your contacts."),
            Command("fixed", "Fixed", shop.fix, shop.fix_fields, words=("who", "outcome", "for"), aliases=("always",)),
            Command("open", "Open a door", shop.open, shop.open_fields, words=("door", "levels"), asks=(CONFIRM,)),
            Command("virtual-users", "Virtual users", shop.list, may=admins),
            Command("contacts-of", "Contacts of another", shop.refuse, may=anyone),
        ]
    )
