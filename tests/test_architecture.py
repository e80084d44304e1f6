"""ARCHITECTURE.md: its arrows, read from the imports of every module, and its map."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("component", "stanzas", "config")

BELOW = {"config", "stanzas", "component.rules"}
WIRING = {"component.app", "component.cli", "component.demo"}
"""What knows the others; nobody but themselves knows them."""
MAY_IMPORT = {
    "stanzas": set(),
    "component.rules": set(),
    "component.checks": set(),
    "component.clock": set(),
    "component.lanes": set(),
    "config": {"stanzas", "component.rules"},
    "component.ports": {"component.rules"},
    "component.delivery": {"component.ports"},
    "component.ledger": BELOW,
    "component.commands": BELOW | {"component.ports", "component.checks"},
}
"""By part (a package of component, or another top-level package); what is not named here is a capability, `link`, `web` or the like."""
SIDE_BY_SIDE = BELOW | {f"component.{name}" for name in ("ledger", "commands", "ports", "checks", "clock", "delivery", "lanes")}
"""What a capability, `link` and `web` may import: not each other."""

DOORS = frozenset(
    {
        "asyncio",
        "time",
        "random",
        "secrets",
        "logging",
        "os",
        "sys",
        "io",
        "pathlib",
        "socket",
        "threading",
        "subprocess",
        "sqlite3",
        "urllib",
    }
)
"""Where the standard library reaches the world."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, ast.parse(file.read_text(encoding="utf-8"))


MODULES = dict(modules())


def imports(tree: ast.Module) -> Iterator[str]:
    """Full names of what a module imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def part(module: str) -> str:
    return ".".join(module.split(".")[: 2 if module.startswith("component.") else 1])


def is_ours(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def test_there_is_something_to_read() -> None:
    assert {"component.rules.messages", "component.ledger.engine", "stanzas.jid", "config.load"} <= MODULES.keys()


def test_the_map_names_every_module_and_no_other() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    written = text.partition("## Code map")[2].partition("## ")[0]
    files = {file.name for package in PACKAGES for file in (ROOT / package).rglob("*.*") if file.parent.name != "versions"}
    named = set(re.findall(r"\w+\.(?:py|lua|erl|toml|service)\b", written))
    assert named - files - {"test_architecture.py"} == set()
    assert {name for name in files if name.endswith(".py")} - named == {"__init__.py", "env.py"}


@pytest.mark.parametrize("module", MODULES)
def test_imports_follow_the_arrows(module: str) -> None:
    own = part(module)
    allowed = {part(each) for each in MODULES} if own in WIRING else MAY_IMPORT.get(own, SIDE_BY_SIDE) | {own}
    assert {part(each) for each in imports(MODULES[module]) if is_ours(each)} - allowed == set()


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("component.rules")])
def test_rules_are_pure(module: str) -> None:
    tree = MODULES[module]
    outside = {each.split(".")[0] for each in imports(tree) if not is_ours(each)}
    assert outside - sys.stdlib_module_names == set()
    assert outside & DOORS == set()
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)] == []
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert {call.id for call in calls if isinstance(call, ast.Name)} & {"open", "print", "input"} == set()
    assert {call.attr for call in calls if isinstance(call, ast.Attribute)} & {"now", "utcnow", "today"} == set()


@pytest.mark.parametrize(
    ("libraries", "may"),
    [
        ({"sqlalchemy", "alembic", "psycopg", "sqlite3"}, lambda module: part(module) == "component.ledger" or module.endswith(".store")),
        # The demo's people are clients.
        ({"slixmpp"}, lambda module: part(module) in ("component.link", "component.demo") or module == "stanzas.jid"),
        ({"pydantic", "pydantic_settings"}, lambda module: part(module) == "config"),
        ({"typer", "rich"}, lambda module: part(module) == "component.cli"),
    ],
    ids=["SQL", "slixmpp", "pydantic", "the command line's"],
)
def test_a_library_has_one_place(libraries: set[str], may: object) -> None:
    assert callable(may)
    users = {module for module, tree in MODULES.items() if {each.split(".")[0] for each in imports(tree)} & libraries}
    assert users
    assert {module for module in users if not may(module)} == set()
