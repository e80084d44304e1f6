"""Types of the configuration's values: what a TOML value (or an environment variable's text) becomes, or the ValueError with the reason.

Numbers and booleans are strict, so that `port = "5347"` or `capacity = true` is an error and no guess.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo

from component.rules import hours
from config import durations
from stanzas import jid
from stanzas.text import is_clean

DAY = 86_400.0
AVATAR_MOST = 65_536
"""Bytes of an avatar: it travels in one stanza, as base64."""
_IMAGE = re.compile(rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|RIFF....WEBP", re.DOTALL)
# What is kept in memory alone would be lost at the end.
_SQLITE = re.compile(r"sqlite:///(?!:memory:\Z)[^?]+")
RESERVED = frozenset({"rapport"})
"""Local parts of the component domain that are Rapport's own (spec/00-overview.md, Addresses)."""


class Misplaced(ValueError):
    """A value that clashes with another: `at` leads from the value that was checked to the one to blame."""

    def __init__(self, at: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.at = at


class Listen(NamedTuple):
    """An address to listen on."""

    host: str
    port: int


def node(text: str) -> str:
    """The normalised local part of a virtual user or community at the component domain. Raises ValueError with the reason."""
    local = jid.parse_local(text)
    if local in RESERVED:
        raise ValueError(f"{local!r} is Rapport's own address")
    if "%" in local or r"\40" in local:
        raise ValueError(rf"{local!r} can't hold '%' or '\40', which mark conversations and people")
    return local


def config_file(info: ValidationInfo) -> Path:
    """The file that is being loaded, from the validation's context."""
    context: Mapping[str, Path] = info.context or {}
    return context["file"]


def unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values as they are. Raises Misplaced at the first that was there before."""
    for place, value in enumerate(values):
        if value in values[:place]:
            raise Misplaced((place,), f"{value!r} is there twice")
    return values


def _text(text: str) -> str:
    if not is_clean(text):
        raise ValueError(f"{text!r} holds a character that XML forbids")
    return text


def _name(text: str) -> str:
    name = _text(text).strip()
    if not name or "\n" in name:
        raise ValueError("it is one line of text, not empty")
    return name


def _secret(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value():
        raise ValueError("it is empty")
    return secret


def _duration(value: object) -> float:
    return durations.parse(_string(value, "a duration is a string like '30m'"))


def _duration_or_off(value: object) -> float | None:
    return None if value == "off" else _duration(value)


def _between(least: float, most: float) -> AfterValidator:
    def check(seconds: float | None) -> float | None:
        if seconds is not None and not least <= seconds <= most:
            raise ValueError(f"it is between {durations.format(least)} and {durations.format(most)}")
        return seconds

    return AfterValidator(check)


def _hours(value: object) -> hours.Hours:
    return hours.parse(_string(value, "hours are a string like 'Mon-Fri 09:00-17:00 Europe/Berlin'"))


def _path(value: object, info: ValidationInfo) -> Path:
    text = _string(value, "a path is a string")
    if not text or not text.isprintable():
        raise ValueError(f"{text!r} is no path")
    return config_file(info).absolute().parent / text


def _image(path: Path) -> Path:
    try:
        with path.open("rb") as file:
            content = file.read(AVATAR_MOST + 1)
    except OSError as error:
        raise ValueError(f"{str(path)!r} can't be read: {error.strerror}") from None
    if len(content) > AVATAR_MOST:
        raise ValueError(f"{str(path)!r} is larger than {AVATAR_MOST // 1024} KiB")
    if not _IMAGE.match(content):
        raise ValueError(f"{str(path)!r} is no PNG, JPEG, GIF or WebP")
    return path


def _member(text: str) -> str:
    member = jid.parse(text)
    if not jid.split(member)[0]:
        raise ValueError(f"{member!r} has no local part: a member is a person, like {'ann@' + member!r}")
    return member


def _listen(value: object) -> Listen:
    text = _string(value, "an address to listen on is a string like '127.0.0.1:8484'")
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port and parts.netloc == text:
            return Listen(parts.hostname, parts.port)
    except ValueError:
        pass
    raise ValueError(f"{text!r} is no address to listen on: write it like '127.0.0.1:8484' or '[::1]:8484'")


def _database(url: str) -> str:
    if not (_SQLITE.fullmatch(url) or _is_postgresql(url)):
        # The reason leaves the URL out: it may hold a password.
        raise ValueError("it is 'sqlite:///FILE' or 'postgresql://USER@HOST/DATABASE'")
    return url


def _is_postgresql(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "postgresql" and bool(parts.path.strip("/")) and parts.port != 0
    except ValueError:  # an IPv6 address or a port that is none
        return False


def _site(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        # A user's name and password would stand before the @.
        raise ValueError("it is the address of a site, like 'https://movies.example.com/im', without user or query")
    return url.rstrip("/")


def _origin(url: str) -> str:
    origin = _site(url).lower()
    if urlsplit(origin).path:
        raise ValueError(f"{origin!r} is more than an origin: scheme, host and port, like 'https://movies.example.com'")
    return origin


def _http_user(text: str) -> str:
    if ":" in text:
        raise ValueError("the name of an HTTP user can't hold ':' (RFC 7617, 2)")
    return text


def _string(value: object, otherwise: str) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(otherwise)


Text = Annotated[str, AfterValidator(_text)]
Name = Annotated[str, AfterValidator(_name)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Port = Annotated[Whole, Field(ge=1, le=65_535)]

Window = Annotated[float, BeforeValidator(_duration), _between(1.0, 30 * DAY)]
"""1 s to 30 d (spec/10-presence.md)."""
Patience = Annotated[float, BeforeValidator(_duration), _between(0.0, 30 * DAY)]
PatienceOrOff = Annotated[float | None, BeforeValidator(_duration_or_off), _between(1.0, 30 * DAY)]
Settle = Annotated[float, BeforeValidator(_duration), _between(0.0, 10.0)]
HalfLife = Annotated[float, BeforeValidator(_duration), _between(1.0, 36_500 * DAY)]

Domain = Annotated[str, AfterValidator(jid.parse_domain)]
BareJid = Annotated[str, AfterValidator(jid.parse_bare)]
MemberJid = Annotated[str, AfterValidator(_member)]
"""A bare JID, or a full one: a person on a shared account (spec/20-virtual.md)."""
Node = Annotated[str, AfterValidator(node)]

WorkingHours = Annotated[hours.Hours, BeforeValidator(_hours)]
ConfigPath = Annotated[Path, BeforeValidator(_path)]
"""Absolute; a relative one is beside the config file."""
Image = Annotated[Path, BeforeValidator(_path), AfterValidator(_image)]
Address = Annotated[Listen, BeforeValidator(_listen)]
Database = Annotated[str, AfterValidator(_database)]
Site = Annotated[str, AfterValidator(_site)]
Origin = Annotated[str, AfterValidator(_origin)]
HttpUser = Annotated[Name, AfterValidator(_http_user)]
