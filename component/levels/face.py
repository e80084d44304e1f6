"""The public face of a user, as an address: messages and presence to it (spec/30-levels.md, Real name and Files); IQs are in iq.py.

To one's own face one shares files; to somebody else's one writes under one's real name.
"""

from collections.abc import Mapping
from xml.etree.ElementTree import Element

from component.delivery import Delivery
from component.levels.iq import iqs
from component.levels.relay import naming, relayed, returned, says_something
from component.levels.service import Levels
from component.levels.store import FILES_KEPT, Full, Leveled
from component.ports import IqAnswer, LinkDown, Queued, Server, StanzaError
from component.rules.addresses import OWN_NODE, Address, Face, face
from stanzas.build import message, presence
from stanzas.files import SharedFile, shared_files
from stanzas.jid import bare, split

NAME_YOURSELF = (
    "Your message was not delivered: here people talk under their real names, and you have set none yet. "
    "Set it with the command `real-name` of {rapport}, and write again."
)
OWN_FACE = "This is your own public face. Send a file here to share it with the contacts for whom `open` opens files."


class Faces:
    """The handler (ports.Handler) of all faces. `jid` is the component's domain."""

    def __init__(self, jid: str, server: Server, levels: Levels, delivery: Delivery) -> None:
        self._jid = jid
        self._server = server
        self._levels = levels
        self._delivery = delivery
        self.iqs: Mapping[tuple[str, str], IqAnswer] = iqs(levels)

    async def message(self, address: Address, queued: Queued) -> bool:
        """Returns once the server has the message."""
        sender, user = bare(queued.stanza.get("from", "")), _owner(address)
        await self._wait_for_link(user)
        if sender == user and self._levels.is_local(user):
            await self._own(user, queued)
        else:
            await self._pass_on(sender, user, queued)
        return True

    async def _own(self, user: str, queued: Queued) -> None:
        files = shared_files(queued.stanza)
        for file in files:
            try:
                await self._levels.share(user, Leveled(file, None))
            except Full:
                raise StanzaError("resource-constraint", f"you share {FILES_KEPT} files already") from None
        if files:
            await self._answer(queued, _shared(files))
        elif says_something(queued.stanza):
            await self._answer(queued, OWN_FACE)

    async def _pass_on(self, sender: str, user: str, queued: Queued) -> None:
        writer = await self._levels.writer(sender, user)
        speaks = says_something(queued.stanza)
        if speaks and writer.name is None:
            await self._answer(queued, NAME_YOURSELF.format(rapport=f"{OWN_NODE}@{self._jid}"))
            return
        name = writer.name.fn if writer.name is not None else ""
        address = self._face(sender)
        if speaks and await self._levels.wrote(sender, user, writer.answers):
            self._server.send(naming(address, user, name), once=queued.once("naming"))
        await self._delivery.deliver(relayed(queued.stanza, address, user, name if speaks else ""), queued.once("message"))

    async def _answer(self, queued: Queued, text: str) -> None:
        asked = queued.stanza
        await self._delivery.deliver(message(bare(asked.get("to", "")), asked.get("from", ""), text), queued.once("answer"))

    async def _wait_for_link(self, user: str) -> None:
        """Raises LinkDown if the server is there, but the link of the user's host does not come."""
        while not self._levels.is_linked(user):
            if not await self._delivery.link_comes():
                raise LinkDown(split(user)[1])

    async def other_message(self, address: Address, stanza: Element) -> None:
        """An error goes back to whoever wrote what could not be delivered; headlines are for nobody."""
        sender, user = bare(stanza.get("from", "")), _owner(address)
        if stanza.get("type") == "error" and await self._levels.has_written(user, sender):
            self._server.send(returned(stanza, self._face(sender), user))

    async def presence(self, address: Address, stanza: Element) -> None:
        """A face can stand in a roster, and has no presence: neither whether there is such a user nor whether they are online."""
        asked, sender = bare(stanza.get("to", "")), bare(stanza.get("from", ""))
        answers = {"subscribe": "subscribed", "unsubscribe": "unsubscribed"}
        if (kind := answers.get(stanza.get("type", ""))) is not None:
            self._server.send(presence(asked, sender, kind=kind))

    def _face(self, user: str) -> str:
        """The address of a user's face. Raises StanzaError: their JID is too long to have one."""
        try:
            return f"{face(user)}@{self._jid}"
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None


def _owner(address: Address) -> str:
    if not isinstance(address, Face):
        raise StanzaError("item-not-found")
    return address.owner


def _shared(files: list[SharedFile]) -> str:
    names = ", ".join(file.name for file in files)
    return (
        f"Shared: {names}. Contacts at every level for which you opened files see it.\n"
        f"For one level only: `share {files[0].link} level=3`. No longer: `share {files[0].link} revoke=yes`."
    )
