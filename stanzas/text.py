"""What XML 1.0 lets a text hold (section 2.2, Char): anything else makes the server close the stream."""

import re

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def is_clean(text: str) -> bool:
    """Whether every character of `text` may stand in an XML document."""
    return _FORBIDDEN.search(text) is None


def clean(text: str) -> str:
    """`text` with each character that XML forbids replaced by U+FFFD."""
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
