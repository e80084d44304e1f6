"""Reads the configuration: TOML file, then environment, then secret files → `Settings`, or a `ConfigError` of one line.

`RAPPORT_COMPONENT__PORT=5348` stands for `port` of `[component]`, `RAPPORT_COMMUNITY__0__NAME` for that of the first `[[community]]`,
which need not be in the file. A variable wins over the file. `secret_file` and its like name a file, relative to the config file, that
holds the secret.
"""

import logging
import os
import re
import stat
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from config.settings import Settings
from config.values import Misplaced

log = logging.getLogger(__name__)

PREFIX = "RAPPORT_"
SECRETS = ("secret", "call_password", "api_password")
"""Keys that can also be given as `KEY_file`."""

Key = tuple[str | int, ...]
Table = dict[str, Any]

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "unknown key",
    "tuple_type": "it is a list",
    "model_type": "it is a table",
    "dict_type": "it is a table",
    "too_short": "it has at least {min_length} of them",
    "too_long": "it has {max_length} of them, not more",
}
_UNCOUNTED = "there is no such entry: they are counted from 0, without a gap"
_AT = re.compile(r"(?P<reason>.*) \(at (?:line (?P<line>[0-9]+), column [0-9]+|end of document)\)", re.DOTALL)


class ConfigError(Exception):
    """The configuration can't be used. Its text is one line, `PLACE: KEY: reason`, and shows no secret.

    PLACE is the file, or the environment variable that the value came from.
    """

    def __init__(self, place: Path | str, key: str, reason: str) -> None:
        super().__init__(": ".join(" ".join(part.split()) for part in (str(place), key, reason) if part))


def load(file: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this file and environment.

    Raises ConfigError: file not found or no TOML, unknown key, bad value, unreadable secret file (spec/00-overview.md, Configuration).
    """
    written = _read(file)
    variables = dict(sorted(_variables(environment), key=lambda variable: [(isinstance(step, str), step) for step in variable[0]]))
    texts: dict[Key, Any] = {key: environment[name] for key, name in variables.items()}
    try:
        return _settings(file, written, texts, variables)
    except ValidationError as error:
        # A variable's text is right for most keys; where it is not, it may be a TOML value.
        for problem in _problems(error):
            for key in (problem.key[:length] for length in range(1, len(problem.key) + 1)):
                if key in texts:
                    texts[key] = _literal(environment[variables[key]], a_list=problem.kind == "tuple_type")
    try:
        return _settings(file, written, texts, variables)
    except ValidationError as error:
        # What isn't known comes first: a key mistyped is a key missing, too.
        worst = min(_problems(error), key=lambda problem: problem.kind != "extra_forbidden")
        raise ConfigError(_place(file, worst.key, variables), _name(worst.key), worst.reason) from None


def _read(file: Path) -> Table:
    try:
        return tomllib.loads(file.read_bytes().decode())
    except FileNotFoundError:
        raise ConfigError(file, "", "there is no such file") from None
    except OSError as error:
        raise ConfigError(file, "", f"can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(file, f"byte {error.start}", "is no UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        match = _AT.fullmatch(str(error))
        line = f"line {match['line']}" if match and match["line"] else "last line"
        raise ConfigError(file, line, match["reason"] if match else str(error)) from None


def _variables(environment: Mapping[str, str]) -> Iterator[tuple[Key, str]]:
    """The keys that the environment sets, and the variable's name for each."""
    for name in environment:
        steps = name.removeprefix(PREFIX).lower().split("__")
        if not name.startswith(PREFIX) or (len(steps) == 1 and steps[0] not in Settings.model_fields):
            continue
        if steps[0] not in Settings.model_fields:
            raise ConfigError(name, steps[0], _WORDS["extra_forbidden"])
        yield tuple(int(step) if step.isdecimal() else step for step in steps), name


def _settings(file: Path, written: Table, texts: Mapping[Key, Any], variables: Mapping[Key, str]) -> Settings:
    """Raises ValidationError, and ConfigError for the secret files."""
    data = deepcopy(written)
    for key, value in texts.items():
        twin = _twin(key[-1])
        in_place_of = None if twin is None or (*key[:-1], twin) in texts else twin
        # In a text that may turn out to be a table nothing can be put yet.
        if not _put(data, key, value, in_place_of) and not any(key[:end] in texts for end in range(len(key))):
            counted = any(isinstance(step, int) for step in key)
            raise ConfigError(variables[key], _name(key), _UNCOUNTED if counted else _WORDS["extra_forbidden"])
    holders = list(_secrets(file, data, variables))
    settings = Settings.model_validate(data, context={"file": file})
    for holder in holders:
        if holder.stat().st_mode & stat.S_IROTH:
            log.warning("config.secret_readable_by_all file=%s mend='chmod o= %s'", holder, holder)
    return settings


def _put(data: Table, key: Key, value: Any, in_place_of: str | None) -> bool:
    """Put the value where its key leads, with the tables and the next entry of a list that it takes; whether it leads anywhere.

    `in_place_of`: the key beside it that goes.
    """
    inside: Any = data
    for step, following in zip_longest(key, key[1:]):
        fresh: Any = value if following is None else [] if isinstance(following, int) else {}
        if isinstance(inside, list) and isinstance(step, int) and step <= len(inside):
            if step == len(inside):
                inside.append(fresh)
            elif following is None:
                inside[step] = value
            inside = inside[step]
        elif isinstance(inside, dict):
            if following is None:
                inside.pop(in_place_of, None)
                inside[str(step)] = value
            inside = inside.setdefault(str(step), fresh)
        else:
            return False
    return True


def _twin(key: str | int) -> str | None:
    """`secret_file` for `secret` and the other way round; None: it is no secret."""
    stem = str(key).removesuffix("_file")
    if stem not in SECRETS:
        return None
    return f"{stem}_file" if stem == key else stem


def _secrets(file: Path, data: Table, variables: Mapping[Key, str]) -> Iterator[Path]:
    """Puts what `secret_file` and its like name in place of them, and tells which files hold a secret."""
    communities = data.get("community")
    tables: Iterable[tuple[Key, Any]] = [
        (("component",), data.get("component")),
        *((("community", place), table) for place, table in enumerate(communities if isinstance(communities, list) else ())),
    ]
    for at, table in tables:
        for secret in SECRETS if isinstance(table, dict) else ():
            pointer = f"{secret}_file"
            if secret in table and (*at, secret) not in variables:
                yield file
            if pointer not in table:
                continue
            key = (*at, pointer)
            if secret in table:
                raise ConfigError(_place(file, key, variables), _name(key), f"{secret!r} is given too: one of the two is enough")
            path = table.pop(pointer)
            if not isinstance(path, str):
                raise ConfigError(_place(file, key, variables), _name(key), "a path is a string")
            table[secret], holder = _secret(file, path, key, variables)
            yield holder


def _secret(file: Path, path: str, key: Key, variables: Mapping[Key, str]) -> tuple[str, Path]:
    holder = file.absolute().parent / path
    try:
        text = holder.read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no UTF-8 text"
        raise ConfigError(_place(file, key, variables), _name(key), f"{str(holder)!r} can't be read: {reason}") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret:
        raise ConfigError(_place(file, key, variables), _name(key), f"{str(holder)!r} is empty")
    return secret, holder


def _literal(text: str, a_list: bool) -> Any:
    """A number, boolean, list or inline table as TOML writes it; else, where a list is due, the words between commas."""
    try:
        return tomllib.loads(f"value = [{text}]" if a_list and not text.startswith("[") else f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    return [word.strip() for word in text.split(",") if word.strip()] if a_list else text


class _Problem(NamedTuple):
    key: Key
    kind: str
    reason: str


def _problems(error: ValidationError) -> Iterator[_Problem]:
    for one in error.errors(include_url=False, include_input=False):
        cause = one.get("ctx", {}).get("error")
        key: Key = (*one["loc"], *(cause.at if isinstance(cause, Misplaced) else ()))
        message = str(cause) if cause else one["msg"][:1].lower() + one["msg"][1:]
        reason = _WORDS.get(one["type"], "{message}").format(message=message, **one.get("ctx", {}))
        yield _Problem(tuple(step for step in key if step != "[key]"), one["type"], reason)


def _place(file: Path, key: Key, variables: Mapping[Key, str]) -> Path | str:
    return next((variables[key[:length]] for length in range(len(key), 0, -1) if key[:length] in variables), file)


def _name(key: Key) -> str:
    """`virtual[0].members[1]`."""
    name = ""
    for step in key:
        shown = step if isinstance(step, int) or step.isprintable() else repr(step)
        name += f"[{step}]" if isinstance(step, int) else f".{shown}"
    return name.removeprefix(".")
