from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

import pytest

from stanzas.files import SharedFile, checked_link, file_sharing, files_answer, files_query, name_of, shared_files

LINK = "https://upload.example.org/x1/holiday%20photo.jpg"


def message(inner: str) -> Element:
    return fromstring(f"<message xmlns='jabber:component:accept'>{inner}</message>")


def oob(link: str) -> str:
    return f"<x xmlns='jabber:x:oob'><url>{link}</url></x>"


def sharing(metadata: str, *links: str) -> str:
    sources = "".join(f"<url-data xmlns='http://jabber.org/protocol/url-data' target='{link}'/>" for link in links)
    return (
        f"<file-sharing xmlns='urn:xmpp:sfs:0'><file xmlns='urn:xmpp:file:metadata:0'>{metadata}</file>"
        f"<sources>{sources}</sources></file-sharing>"
    )


HASH = "<hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>2XarmwTlNxDAMkvymloX3S5+VbylNrJt/l5QyPa+YoU=</hash>"
FULL = SharedFile(LINK, "Holiday", 3032449, "image/jpeg", (("sha-256", "2XarmwTlNxDAMkvymloX3S5+VbylNrJt/l5QyPa+YoU="),))


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<body>hello</body>", []),
        (f"<body>{LINK}</body>", []),
        (oob(LINK), [SharedFile(LINK, "holiday photo.jpg")]),
        (sharing("", LINK), [SharedFile(LINK, "holiday photo.jpg")]),
        (sharing(f"<name>Holiday</name><size>3032449</size><media-type>image/jpeg</media-type>{HASH}", LINK), [FULL]),
        (sharing(f"<name>Holiday</name><size>3032449</size><media-type>image/jpeg</media-type>{HASH}", LINK) + oob(LINK), [FULL]),
        (sharing("<name>N</name><size>many</size><media-type>a b</media-type>", LINK), [SharedFile(LINK, "N")]),
        (sharing("<name>../../etc/passwd</name>", LINK), [SharedFile(LINK, "passwd")]),
        (sharing("", "jingle:x", LINK, "https://mirror.example.org/photo.jpg"), [SharedFile(LINK, "holiday photo.jpg")]),
        (sharing("") + oob("javascript:alert(1)") + oob(""), []),
        (oob("http://h/a") + oob("https://h/b/"), [SharedFile("http://h/a", "a"), SharedFile("https://h/b/", "b")]),
    ],
)
def test_the_files_of_a_message(inner: str, expected: list[SharedFile]) -> None:
    assert shared_files(message(inner)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "example.org/a", "ftp://example.org/a", "javascript:alert(1)", "file:///etc/passwd", "https://", "https://a b/", "http://[::1",
     "https://h/" + "a" * 2000, "https://h/\x02"],
)  # fmt: skip
def test_what_is_no_link_of_the_web_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        checked_link(text)


def test_a_file_without_a_name_is_called_like_its_host() -> None:
    assert name_of("https://example.org/") == "example.org"


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ("plan%20B.pdf", "plan B.pdf"),
        ("plan%00%02.pdf", "plan\ufffd\ufffd.pdf"),
        ("%0Atwo%0D%0Alines%09.pdf", "two lines .pdf"),
        ("%ED%A0%80%EF%BF%BE", "\ufffd\ufffd\ufffd\ufffd"),
        ("..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("%20", "example.org"),
    ],
)
def test_a_file_that_has_no_name_of_its_own_is_called_in_one_line_of_clean_text(last: str, name: str) -> None:
    assert name_of(f"https://example.org/{last}") == name


def test_a_name_of_several_lines_is_one_line() -> None:
    described = shared_files_of(file_sharing(replace(FULL, name="dir/a\n b")))
    assert [file.name for file in described] == ["a b"]


def test_a_listed_file_reads_as_the_same_file() -> None:
    assert shared_files_of(file_sharing(FULL)) == [FULL]


def shared_files_of(element: Element) -> list[SharedFile]:
    carrier = message("")
    carrier.append(element)
    return shared_files(carrier)


def test_the_answer_names_the_level_that_was_asked() -> None:
    assert files_answer(3, [FULL]).get("n") == "3"
    assert files_answer(None, []).get("n") is None


def test_a_files_query_asks_for_one_level_or_all() -> None:
    assert files_query(fromstring("<files xmlns='urn:x-rapport:files:0' n='3'/>")) == 3
    assert files_query(fromstring("<files xmlns='urn:x-rapport:files:0'/>")) is None
