"""docs/configuration.md, held against the models: each table, key, default and variable."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

import config
from config.load import load
from config.settings import Settings

SAMPLE = Path(config.__file__).with_name("sample.toml")
MANUAL = Path(config.__file__).parents[1] / "docs" / "configuration.md"

Step = str | int


class Row(NamedTuple):
    table: tuple[Step, ...]
    """From the top of the configuration to the first table of this name."""
    key: str
    default: str
    variable: str


SECTION = re.compile(r"^## `\[+([a-z.]+)\]+`: `([A-Z_0-9]+)…`\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def rows() -> Iterator[Row]:
    """The rows of the sections whose heading names a table of the configuration."""
    for heading, variables, body in SECTION.findall(MANUAL.read_text()):
        table: list[Step] = []
        for name in heading.split("."):
            table += [name, 0] if name in ("virtual", "member", "community") else [name]
        for key, default in re.findall(r"^\| `(\w+)` \| (.*?) \|", body, re.MULTILINE):
            yield Row(tuple(table), key, default.strip("`"), variables + key.upper())


ROWS = list(rows())
WORDS = ("required", "none", "see there")
"""In place of a default."""


def within(settings: Settings, table: tuple[Step, ...]) -> BaseModel:
    inside: Any = settings
    for step in table:
        inside = inside[step] if isinstance(step, int) else getattr(inside, step)
    assert isinstance(inside, BaseModel)
    return inside


def tables(path: tuple[Step, ...], table: BaseModel) -> Iterator[tuple[tuple[Step, ...], str]]:
    """Each key that is no table, with the way to it."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        first = value[0] if isinstance(value, tuple) and value else value
        if isinstance(first, BaseModel):
            yield from tables((*path, name, 0) if isinstance(value, tuple) else (*path, name), first)
        else:
            yield path, name


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    file = tmp_path / "rapport.toml"
    file.write_text(SAMPLE.read_text())
    file.chmod(0o600)
    return file


def test_the_manual_has_every_key_and_no_other(sample: Path) -> None:
    assert sorted((row.table, row.key) for row in ROWS) == sorted(tables((), load(sample, {})))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.variable)
def test_the_default_of_the_manual_is_the_real_one(row: Row, sample: Path) -> None:
    field = type(within(load(sample, {}), row.table)).model_fields[row.key]
    real = field.get_default(call_default_factory=True)
    if row.default in ("required", "none"):
        assert field.is_required() if row.default == "required" else real is None
    elif row.default not in WORDS:
        data: Any = tomllib.loads(sample.read_text())
        inside = data
        for step in row.table:
            inside = inside[step]
        inside[row.key] = tomllib.loads(f"value = {row.default}")["value"]
        assert getattr(within(Settings.model_validate(data, context={"file": sample}), row.table), row.key) == real


@pytest.mark.parametrize("row", [row for row in ROWS if row.default not in WORDS], ids=lambda row: row.variable)
def test_the_variable_of_the_manual_sets_the_key(row: Row, sample: Path) -> None:
    settings = load(sample, {row.variable: row.default.strip('"')})
    field = type(within(settings, row.table)).model_fields[row.key]
    assert getattr(within(settings, row.table), row.key) == field.get_default(call_default_factory=True)
