"""A session's own presence, from the stanza to what the rules need of it."""

from hashlib import blake2b
from xml.etree.ElementTree import Element, tostring

from component.rules.presence import Own, Show
from stanzas.namespaces import CLIENT, DELAY, XML, qualified

_SHOW, _STATUS, _PRIORITY = (qualified(CLIENT, name) for name in ("show", "status", "priority"))
_DELAY = qualified(DELAY, "delay")
_LANG = qualified(XML, "lang")
_SHOWS = {show.value: show for show in (Show.CHAT, Show.AWAY, Show.DND, Show.XA)}


def own_of(presence: Element) -> Own:
    """An available presence as the rules see it. An unknown `<show/>` counts as none (RFC 6121, 4.7.2.1); an odd priority as 0.

    Of several shows, which there must not be, it is the first, as clients have it.
    """
    show, status, priority = _SHOWS.get((presence.findtext(_SHOW) or "").strip(), Show.ONLINE), [], 0
    rest = blake2b(presence.get(_LANG, "").encode(), digest_size=9)
    for child in presence:
        if child.tag == _STATUS:
            status.append((child.get(_LANG, ""), child.text or ""))
        elif child.tag not in (_SHOW, _DELAY):  # the delay is the server's own stamp: the same presence, told later
            if child.tag == _PRIORITY:
                priority = _priority(child.text or "")
            rest.update(tostring(child))
    return Own(show, tuple(status), priority, rest.hexdigest())


def _priority(text: str) -> int:
    """-128 to 127 (RFC 6121, 4.7.2.3)."""
    try:
        return max(-128, min(127, int(text)))
    except ValueError:
        return 0
