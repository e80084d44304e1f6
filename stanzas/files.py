"""Shared files: as they come in messages (XEP-0066, XEP-0447) and as S4 lists them (docs/levels.md)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from stanzas.build import element
from stanzas.levels import level_of
from stanzas.namespaces import FILE_METADATA, FILE_SHARING, FILES, HASHES, OOB, URL_DATA, qualified
from stanzas.text import clean, is_clean

LONGEST_LINK = 2000
"""Characters."""
LONGEST_NAME = 255
_HASHES_AT_MOST = 8
_TOKEN = re.compile(r"[A-Za-z0-9-]{1,32}")
_BASE64 = re.compile(r"[A-Za-z0-9+/=]{1,200}")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
_SIZE = re.compile(r"[0-9]{1,15}")


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file by its link, and what is known of it (XEP-0446). `hashes`: (algorithm, base64) pairs (XEP-0300)."""

    link: str
    name: str
    size: int | None = None
    media_type: str = ""
    hashes: tuple[tuple[str, str], ...] = ()


def checked_link(text: str) -> str:
    """An http or https link as it is. Raises ValueError with the reason."""
    link = text.strip()
    if not is_clean(link) or re.search(r"\s", link):
        raise ValueError("a link has no spaces or control characters")
    if len(link) > LONGEST_LINK:
        raise ValueError(f"it is longer than {LONGEST_LINK} characters")
    try:
        parts = urlsplit(link)
        host = parts.hostname
    except ValueError:
        raise ValueError(f"{link!r} is no link") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(f"{link!r} is no http or https link")
    return link


def name_of(link: str) -> str:
    """What a file is called whose link is all that is known: the last part of its path, or else the host."""
    parts = urlsplit(link)
    return _one_line(unquote(parts.path.rstrip("/").rpartition("/")[2])) or parts.netloc[:LONGEST_NAME]


def shared_files(message: Element) -> list[SharedFile]:
    """The files that a message shares, each by its first link of the web; what it says wrongly of one is left out."""
    found: dict[str, SharedFile] = {}
    for sharing in message.findall(qualified(FILE_SHARING, "file-sharing")):
        metadata = sharing.find(qualified(FILE_METADATA, "file"))
        for source in sharing.iterfind(f"{qualified(FILE_SHARING, 'sources')}/{qualified(URL_DATA, 'url-data')}"):
            if _add(found, source.get("target", ""), metadata):
                break
    for oob in message.findall(qualified(OOB, "x")):
        _add(found, oob.findtext(qualified(OOB, "url"), ""), None)
    return list(found.values())


def files_query(query: Element) -> int | None:
    """The level that `<files/>` asks for; None: all. Raises ValueError if it is malformed."""
    return level_of(query)


def files_answer(level: int | None, files: Sequence[SharedFile]) -> Element:
    """`<files/>` with an XEP-0447 element for each file."""
    answer = element(FILES, "files", {"n": None if level is None else str(level)})
    answer.extend(file_sharing(file) for file in files)
    return answer


def file_sharing(file: SharedFile) -> Element:
    """A file as XEP-0447 has it: what is known of it (XEP-0446), and its link as the one source."""
    metadata = element(FILE_METADATA, "file")
    if file.media_type:
        metadata.append(element(FILE_METADATA, "media-type", text=file.media_type))
    metadata.append(element(FILE_METADATA, "name", text=file.name))
    if file.size is not None:
        metadata.append(element(FILE_METADATA, "size", text=str(file.size)))
    metadata.extend(element(HASHES, "hash", {"algo": algorithm}, value) for algorithm, value in file.hashes)
    sources = element(FILE_SHARING, "sources")
    sources.append(element(URL_DATA, "url-data", {"target": file.link}))
    sharing = element(FILE_SHARING, "file-sharing", {"disposition": "attachment"})
    sharing.extend((metadata, sources))
    return sharing


def _add(found: dict[str, SharedFile], target: str, metadata: Element | None) -> bool:
    """Add a file, unless it is there already; whether its link is one of the web."""
    try:
        link = checked_link(target)
    except ValueError:
        return False
    if link not in found:
        found[link] = SharedFile(link, name_of(link)) if metadata is None else _described(link, metadata)
    return True


def _described(link: str, metadata: Element) -> SharedFile:
    name = _one_line(_child(metadata, "name"))
    size = _child(metadata, "size")
    media_type = _child(metadata, "media-type")
    hashes = [(each.get("algo", ""), (each.text or "").strip()) for each in metadata.findall(qualified(HASHES, "hash"))]
    sound = [(algorithm, value) for algorithm, value in hashes if _TOKEN.fullmatch(algorithm) and _BASE64.fullmatch(value)]
    return SharedFile(
        link,
        name or name_of(link),
        int(size) if _SIZE.fullmatch(size) else None,
        media_type if _MEDIA_TYPE.fullmatch(media_type) else "",
        tuple(sound[:_HASHES_AT_MOST]),
    )


def _one_line(text: str) -> str:
    """The name of a file in it, without the folders, as a table shows it and every database can hold it."""
    return " ".join(clean(text).split()).rpartition("/")[2][:LONGEST_NAME]


def _child(metadata: Element, name: str) -> str:
    return metadata.findtext(qualified(FILE_METADATA, name), "").strip()
