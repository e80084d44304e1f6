"""What Rapport writes to people about contacts: links to add them, suggestions, introductions (spec/30-levels.md)."""

from collections.abc import Sequence

from component.levels.store import RealName
from component.ports import Server
from component.rules.addresses import OWN_NODE
from stanzas.build import element, message
from stanzas.files import SharedFile, file_sharing
from stanzas.levels import Listed, exchange, roster_link
from stanzas.namespaces import OOB

IN_ONE = 100
"""Contacts, or files, in one message: what a chat window can show, and well below any server's limit."""


class Links:
    """Writes as Rapport itself. `jid` is the component's domain."""

    def __init__(self, jid: str, server: Server) -> None:
        self._sender = f"{OWN_NODE}@{jid}"
        self._server = server

    def send_links(self, asker: str, user: str, contacts: Sequence[Listed]) -> None:
        """A link per contact, to the JID that asked."""
        for start in range(0, len(contacts), IN_ONE):
            lines = [_line(contact) for contact in contacts[start : start + IN_ONE]]
            self._server.send(message(self._sender, asker, "\n".join([f"Contacts of {user}:", *lines])))

    def send_items(self, asker: str, contacts: Sequence[Listed]) -> None:
        """Suggestions to add the contacts (XEP-0144), to the JID that asked."""
        for start in range(0, len(contacts), IN_ONE):
            self._server.send(message(self._sender, asker, None, exchange(contacts[start : start + IN_ONE]), kind=None))

    def send_files(self, asker: str, files: Sequence[SharedFile]) -> None:
        """A message per file, as a client sends one (XEP-0066, XEP-0447), to the JID that asked."""
        for file in files:
            oob = element(OOB, "x")
            oob.append(element(OOB, "url", text=file.link))
            self._server.send(message(self._sender, asker, file.link, oob, file_sharing(file)))

    def send_files_together(self, asker: str, files: Sequence[SharedFile]) -> None:
        """One message for all files (XEP-0447), to the JID that asked."""
        for start in range(0, len(files), IN_ONE):
            some = files[start : start + IN_ONE]
            self._server.send(message(self._sender, asker, "\n".join(file.link for file in some), *map(file_sharing, some)))

    def introduce(self, asker: str, name: RealName | None, user: str, to: str, text: str) -> bool:
        """To `to`: who would like to meet them, through whom, and why. False: the stream is down."""
        who = asker if name is None else f"{name.fn} ({asker})"
        lines = [f"{who} would like to meet you, through {user}.", *([text] if text else []), f"Add them: {roster_link(asker)}"]
        return self._server.send(message(self._sender, to, "\n".join(lines)))


def _line(contact: Listed) -> str:
    link = roster_link(contact.jid)
    return f"{contact.name}: {link}" if contact.name else link
