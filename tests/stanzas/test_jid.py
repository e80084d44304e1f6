import pytest
from hypothesis import given
from hypothesis import strategies as some

from stanzas import jid
from stanzas.text import is_clean


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ann@example.org", "ann@example.org"),
        ("Ann@LOCALHOST", "ann@localhost"),
        ("ben@localhost.", "ben@localhost"),
        ("BEN@localhost./Phone", "ben@localhost/Phone"),
        (" ann@example.org\n", "ann@example.org"),
        ("straße@example.org", "strasse@example.org"),
        ("Ａnn@ｅxample.org", "ann@example.org"),
        ("ann@bücher。example", "ann@bücher.example"),
        ("rapport.example.org", "rapport.example.org"),
        (r"o\27neil@example.org", r"o\27neil@example.org"),
        ("ann@[::1]", "ann@[::1]"),
        ("ann@example.org/x@y/z", "ann@example.org/x@y/z"),
    ],
)
def test_a_typed_jid_is_normalised(typed: str, meant: str) -> None:
    assert jid.parse(typed) == meant
    assert jid.parse(meant) == meant


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", "missing"),
        ("  ", "missing"),
        ("@example.org", "nothing stands before"),
        ("ann@", "domain"),
        ("ann@example.org/", "nothing stands after"),
        ("ann@@example.org", "more than one @"),
        ("a b@example.org", "local part"),
        ("o'neil@example.org", "local part"),
        ("foo@bar.org:5222", "domain"),
        ("x@y.co,", "','"),
        ("x@y_z!", "'!'"),
        ("ann@localhost..", "domain"),
        ("ann@。", "domain"),
        ("ann@example.org/\x02", "resource"),
        ("ann\x02@example.org", "local part"),
        ("a" * 1_024 + "@example.org", "1,023"),
    ],
)
def test_what_is_no_jid_is_refused_with_the_reason(typed: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        jid.parse(typed)


@given(some.text())
def test_a_text_is_a_clean_jid_or_refused(text: str) -> None:
    try:
        parsed = jid.parse(text)
    except ValueError:
        return
    assert is_clean(parsed)
    local, domain, resource = jid.split(parsed)
    assert domain
    assert parsed == (f"{local}@" if local else "") + domain + (f"/{resource}" if resource else "")


def test_a_bare_jid_has_a_local_part_and_no_resource() -> None:
    assert jid.parse_bare("Ann@Example.org") == "ann@example.org"
    with pytest.raises(ValueError, match="resource"):
        jid.parse_bare("ann@example.org/phone")
    with pytest.raises(ValueError, match="no local part"):
        jid.parse_bare("example.org")


def test_a_domain_is_nothing_more() -> None:
    assert jid.parse_domain("Example.ORG.") == "example.org"
    for more in ("ann@example.org", "example.org/x"):
        with pytest.raises(ValueError, match="more than a domain"):
            jid.parse_domain(more)


def test_a_local_part_stands_alone() -> None:
    assert jid.parse_local(" Shop ") == "shop"
    for other in ("", "a@b", "a b", "a/b"):
        with pytest.raises(ValueError, match="local part"):
            jid.parse_local(other)


@pytest.mark.parametrize(
    ("said", "parts"),
    [
        ("alice@example.org/phone", ("alice", "example.org", "phone")),
        ("example.org", ("", "example.org", "")),
        ("example.org/x@y", ("", "example.org", "x@y")),
        ("room@muc.x/🙌", ("room", "muc.x", "🙌")),
        ("foo@bar.org:5222", ("foo", "bar.org:5222", "")),
        ("alice@example.org/x@y/z", ("alice", "example.org", "x@y/z")),
        ("", ("", "", "")),
    ],
)
def test_a_jid_of_the_servers_is_split_whatever_it_holds(said: str, parts: tuple[str, str, str]) -> None:
    assert jid.split(said) == parts
    local, domain, _resource = parts
    assert jid.bare(said) == (f"{local}@{domain}" if local else domain)
