"""Message ids of sub-users, as customers see them.

A client's ids may hold its user's name or resource; yet a customer's receipt, marker or reply has to name the message again.
So an id is sealed: only whoever has the key can read it, and the same id is always sealed to the same, over restarts too.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b, shake_256
from hmac import compare_digest

KEY_LENGTH = 32
"""Bytes of a key."""
LONGEST = 256
"""Bytes of an id that can be read again; a longer one is only hidden."""
_TAG_LENGTH = 12
_PREFIX = "r-"


class SealedIds:
    """Seals ids with a secret key (a synthetic initialisation vector: the tag both hides the text and proves it)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, text: str) -> str:
        data = text.encode()
        tag = self._tag(data)
        hidden = self._hide(data, tag) if len(data) <= LONGEST else b""
        return _PREFIX + urlsafe_b64encode(tag + hidden).rstrip(b"=").decode()

    def open(self, sealed: str) -> str | None:
        """The id that was sealed; None if this is not one of ours."""
        encoded = sealed.removeprefix(_PREFIX)
        if encoded == sealed or not encoded.isascii():
            return None
        try:
            data = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        except Base64Error:
            return None
        tag, hidden = data[:_TAG_LENGTH], data[_TAG_LENGTH:]
        opened = self._hide(hidden, tag)
        if not compare_digest(self._tag(opened), tag):
            return None
        return opened.decode()

    def _tag(self, data: bytes) -> bytes:
        return blake2b(data, digest_size=_TAG_LENGTH, key=self._key, person=b"message id").digest()

    def _hide(self, data: bytes, tag: bytes) -> bytes:
        stream = shake_256(self._key + tag).digest(len(data))
        return bytes(one ^ other for one, other in zip(data, stream, strict=True))
