import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

import config
from config.load import SECRETS, load
from config.settings import Settings

INNER = {*Settings.model_fields, "member"}
SAMPLE = Path(config.__file__).with_name("sample.toml")


def loaded(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "rapport.toml"
    file.write_text(text)
    file.chmod(0o600)
    return load(file, {})


def tables(table: BaseModel) -> Iterator[BaseModel]:
    yield table
    for name in type(table).model_fields:
        value = getattr(table, name)
        for inner in value if isinstance(value, tuple) else (value,):
            if isinstance(inner, BaseModel):
                yield from tables(inner)


def keys(table: BaseModel) -> list[str]:
    """The table's keys that are no tables themselves."""
    return [name for name in type(table).model_fields if name not in INNER]


def test_each_default_in_the_sample_is_the_real_one(tmp_path: Path) -> None:
    for table in tables(loaded(tmp_path, SAMPLE.read_text())):
        for name in keys(table):
            field = type(table).model_fields[name]
            # The control socket's depends on where the file is.
            if not field.is_required() and name != "control_socket":
                assert getattr(table, name) == field.get_default(call_default_factory=True), f"{type(table).__name__}.{name}"


def test_the_sample_has_every_key_and_no_other(tmp_path: Path) -> None:
    written = set(re.findall(r"^(?:# )?([a-z_]+) = ", SAMPLE.read_text(), re.MULTILINE))
    known = {name for table in tables(loaded(tmp_path, SAMPLE.read_text())) for name in keys(table)}
    assert written == known | {f"{secret}_file" for secret in SECRETS}
