import logging
import re
from pathlib import Path

import pytest

from config import sockets
from config.load import ConfigError, load
from config.settings import Settings

COMPONENT = """
[component]
jid = "rapport.example.org"
secret = "correct horse"
served_hosts = ["example.org"]
"""
SHOP = """
[[virtual]]
node = "shop"
name = "The Bookshop"
"""
MOVIES = """
[[community]]
id = "movies"
name = "Movie Fans"
base_url = "https://movies.example.com/im"
call_user = "rapport"
call_password = "battery"
api_user = "movies"
api_password = "staple"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rapport.toml"


def loaded(file: Path, text: str, environment: dict[str, str] | None = None) -> Settings:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    return load(file, environment or {})


def refusal(file: Path, text: str, environment: dict[str, str] | None = None) -> str:
    """What the refused config is told, after the file's name."""
    with pytest.raises(ConfigError) as refused:
        loaded(file, text, environment)
    line = str(refused.value)
    assert "\n" not in line
    assert line.isprintable()
    return line.removeprefix(f"{file}: ")


def test_what_the_specification_shows_is_taken(file: Path) -> None:
    settings = loaded(
        file,
        COMPONENT
        + 'host = "127.0.0.1"\nport = 5347\nadmins = ["ADMIN@example.org"]\n'
        + '[storage]\nurl = "sqlite:///rapport.db"\n'
        + '[presence]\nsent_window = "30m"\nreceived_window = "1h"\nunread_max_age = "24h"\nsettle = "20ms"\n'
        + '[levels]\nhalf_life = "30d"\nthresholds = [20, 10, 5, 0.5]\n'
        + SHOP
        + 'members = ["Ann@EXAMPLE.org", "ben@example.org."]\npolicy = ["latest", "nearest"]\nanswer_within = "2m"\n'
        + '[[virtual.member]]\njid = "cat@example.org"\ncapacity = 3\nlat = 52.52\nlon = 13\n'
        + 'hours = "Mon-Fri 09:00-17:00 Europe/Berlin"\nattributes = { language = "de, en" }\n'
        + MOVIES
        + '[http]\nlisten = "127.0.0.1:8484"\n',
    )
    assert settings.component.admins == ("admin@example.org",)
    assert settings.component.secret.get_secret_value() == "correct horse"
    assert settings.presence.received_window == 3_600
    assert settings.presence.settle == 0.02
    assert settings.levels.thresholds == (20, 10, 5, 0.5)
    (shop,) = settings.virtual
    assert [member.jid for member in shop.team] == ["ann@example.org", "ben@example.org", "cat@example.org"]
    assert [member.capacity for member in shop.team] == [5, 5, 3]
    assert shop.answer_within == 120
    assert shop.member[0].attributes == {"language": "de, en"}
    assert settings.community[0].base_url == "https://movies.example.com/im"
    assert settings.http is not None
    assert settings.http.listen == ("127.0.0.1", 8484)


def test_what_is_left_out_has_its_default_and_nothing_listens(file: Path) -> None:
    settings = loaded(file, COMPONENT)
    assert (settings.component.host, settings.component.port) == ("127.0.0.1", 5347)
    assert settings.http is None
    assert settings.virtual == ()


REFUSED = [
    # text to change, its change, key, reason
    ('secret = "correct horse"', "", "component.secret", "is missing"),
    ('jid = "rapport.example.org"', 'jdi = "rapport.example.org"', "component.jdi", "unknown key"),
    ('jid = "rapport.example.org"', 'jid = "bot@rapport.example.org"', "component.jid", "more than a domain"),
    ('jid = "rapport.example.org"', 'jid = "rapport.example.org/x"', "component.jid", "more than a domain"),
    ('jid = "rapport.example.org"', 'jid = "EXAMPLE.org."', "component.jid", "is a served host"),
    ('jid = "rapport.example.org"', 'jid = "a b"', "component.jid", "no JID"),
    ('["example.org"]', "[]", "component.served_hosts", "at least 1"),
    ('["example.org"]', '"example.org"', "component.served_hosts", "it is a list"),
    ('["example.org"]', '["example.org", "Example.org"]', "component.served_hosts[1]", "there twice"),
    ('["example.org"]', '["example.org", "x:5222"]', "component.served_hosts[1]", "no JID"),
    ("[component]", "[component]\nport = 70000", "component.port", "65535"),
    ("[component]", "[component]\nport = 0", "component.port", "1"),
    ("[component]", '[component]\nport = "5347"', "component.port", "valid integer"),
    ("[component]", "[component]\nport = true", "component.port", "valid integer"),
    ("[component]", '[component]\nadmins = ["admin"]', "component.admins[0]", "no local part"),
    ("[component]", '[component]\nadmins = ["a@rapport.example.org"]', "component.admins[0]", "own domain"),
    ("[component]", "[component]\ncontrol_socket = 5", "component.control_socket", "path"),
    ("[component]", "[componnent]\n[component]", "componnent", "unknown key"),
    ("[component]", "[presence]\nsent_window = 30\n[component]", "presence.sent_window", "string like '30m'"),
    ("[component]", '[presence]\nsent_window = "0s"\n[component]', "presence.sent_window", "between 1s and 30d"),
    ("[component]", '[presence]\nreceived_window = "31d"\n[component]', "presence.received_window", "between 1s and 30d"),
    ("[component]", '[presence]\nunread_max_age = "1 day"\n[component]', "presence.unread_max_age", "no duration"),
    ("[component]", '[levels]\nhalf_life = "0s"\n[component]', "levels.half_life", "between"),
    ("[component]", "[levels]\nthresholds = [20, 10, 10, 1]\n[component]", "levels.thresholds[2]", "fall"),
    ("[component]", "[levels]\nthresholds = [20, 10, 5]\n[component]", "levels.thresholds", "at least 4"),
    ("[component]", "[levels]\nthresholds = [20, 10, 5, 2, 1]\n[component]", "levels.thresholds", "4 of them, not more"),
    ("[component]", "[levels]\nthresholds = [20, 10, 5, 0]\n[component]", "levels.thresholds[3]", "above 0"),
    ("[component]", "[levels]\nthresholds = [inf, 10, 5, 1]\n[component]", "levels.thresholds[0]", "finite"),
    ("[component]", '[levels]\nbalance = "both"\n[component]', "levels.balance", "'mutual' or 'total'"),
    ("[component]", '[storage]\nurl = "mysql://u:correct horse@h/d"\n[component]', "storage.url", "postgresql://"),
    ("[component]", '[storage]\nurl = "sqlite:///"\n[component]', "storage.url", "sqlite:///FILE"),
    ("[component]", '[storage]\nurl = "sqlite:///:memory:"\n[component]', "storage.url", "sqlite:///FILE"),
    ("[component]", '[storage]\nurl = "sqlite:///x.db?mode=ro"\n[component]', "storage.url", "sqlite:///FILE"),
    ("[component]", '[storage]\nurl = "postgresql://u:correct horse@h:port/d"\n[component]', "storage.url", "postgresql://"),
    ("[component]", '[storage]\nurl = "postgresql://u:correct horse@[::1/d"\n[component]', "storage.url", "postgresql://"),
    ("[component]", "[[component]]", "component", "it is a table"),
    ("[component]", '[http]\nlisten = "8484"\n[component]', "http.listen", "127.0.0.1:8484"),
    ("[component]", '[http]\nlisten = "127.0.0.1:99999"\n[component]', "http.listen", "127.0.0.1:8484"),
    ('node = "shop"', 'node = "a b"', "virtual[0].node", "local part"),
    ('node = "shop"', 'node = "rapport"', "virtual[0].node", "own address"),
    ('node = "shop"', 'node = "a%b"', "virtual[0].node", "conversations"),
    ('node = "shop"', r"node = 'a\40b'", "virtual[0].node", "conversations"),
    ("The Bookshop", r"Book\u0002shop", "virtual[0].name", "XML forbids"),
    ("The Bookshop", " ", "virtual[0].name", "not empty"),
    ('node = "shop"', 'node = "shop"\nmembers = ["ann@@x"]', "virtual[0].members[0]", "more than one @"),
    ('node = "shop"', 'node = "shop"\nmembers = ["ann@x", "ANN@x"]', "virtual[0].members[1]", "a member already"),
    ('node = "shop"', 'node = "shop"\nmembers = ["example.org"]', "virtual[0].members[0]", "no local part"),
    ('node = "shop"', 'node = "shop"\nmembers = ["a@rapport.example.org"]', "virtual[0]", "own domain"),
    ('node = "shop"', 'node = "shop"\npolicy = ["latest", "lates"]', "virtual[0].policy[1]", "'least-load'"),
    ('node = "shop"', 'node = "shop"\npolicy = ["latest", "latest"]', "virtual[0].policy[1]", "there twice"),
    ('node = "shop"', 'node = "shop"\nwhen_offline = "drop"', "virtual[0].when_offline", "'queue' or 'bounce'"),
    ('node = "shop"', 'node = "shop"\nauto_pause = -1', "virtual[0].auto_pause", "0"),
    ('node = "shop"', 'node = "shop"\navailable_shows = []', "virtual[0].available_shows", "at least 1"),
    ('node = "shop"', 'node = "shop"\navailable_shows = ["offline"]', "virtual[0].available_shows[0]", "'online'"),
    ('node = "shop"', 'node = "shop"\navatar = "none.png"', "virtual[0].avatar", "No such file"),
    ('node = "shop"', 'node = "shop"\navatar = "rapport.toml"', "virtual[0].avatar", "no PNG"),
    ('The Bookshop"', 'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\nlat = 91', "virtual[0].member[0].lat", "90"),
    ('The Bookshop"', 'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\nlat = nan', "virtual[0].member[0].lat", "finite"),
    ('The Bookshop"', 'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\nlon = -181', "virtual[0].member[0].lon", "-180"),
    ('The Bookshop"', 'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\nlon = 13', "virtual[0].member[0].lon", "'lat' is missing"),
    ('The Bookshop"', 'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\ncapacity = 0', "virtual[0].member[0].capacity", "1"),
    ('The Bookshop"', 'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\nhours = "always"', "virtual[0].member[0].hours", "are no hours"),
    (
        'The Bookshop"',
        'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\nhours = "Mon 09:00-17:00 Mars/Base"',
        "virtual[0].member[0].hours",
        "no time zone",
    ),
    (
        'The Bookshop"',
        'The Bookshop"\n[[virtual.member]]\njid = "ann@x"\nattributes = { age = 30 }',
        "virtual[0].member[0].attributes.age",
        "string",
    ),
    ('id = "movies"', 'id = "SHOP"', "community[0].id", r"taken by virtual\[0\]\.node"),
    ('id = "movies"', 'id = "movies"\norigins = ["https://x.org/path"]', "community[0].origins[0]", "more than an origin"),
    ("https://movies.example.com/im", "ftp://movies.example.com", "community[0].base_url", "address of a site"),
    ("https://movies.example.com/im", "https://u:correct horse@x.org", "community[0].base_url", "address of a site"),
    ('api_user = "movies"', 'api_user = "a:b"', "community[0].api_user", "RFC 7617"),
    ('api_password = "staple"', 'api_password = ""', "community[0].api_password", "empty"),
    ('id = "movies"', 'id = "movies"\nallow_private_address = "true"', "community[0].allow_private_address", "boolean"),
]


@pytest.mark.parametrize(("text", "change", "key", "reason"), REFUSED)
def test_a_wrong_value_is_refused_on_one_line_with_file_key_and_reason(file: Path, text: str, change: str, key: str, reason: str) -> None:
    whole = SHOP + MOVIES + COMPONENT
    assert whole.count(text) >= 1
    line = refusal(file, whole.replace(text, change, 1))
    assert line.startswith(f"{key}: ")
    assert re.search(reason, line)
    assert "correct horse" not in line


def test_a_node_that_is_there_already_is_named_with_the_one_that_has_it(file: Path) -> None:
    line = refusal(file, COMPONENT + SHOP + SHOP.replace("shop", "SHOP"))
    assert line == "virtual[1].node: 'shop' is taken by virtual[0].node"


def test_a_mistyped_table_is_named_even_where_the_right_one_is_missing(file: Path) -> None:
    assert refusal(file, COMPONENT.replace("[component]", "[conponent]")) == "conponent: unknown key"


def test_a_secret_is_never_shown(file: Path) -> None:
    assert refusal(file, COMPONENT.replace('"correct horse"', "12345678")) == "component.secret: input should be a valid string"
    settings = loaded(file, COMPONENT + MOVIES)
    for secret in ("correct horse", "battery", "staple"):
        assert secret not in repr(settings)
        assert secret not in str(settings.model_dump())


@pytest.mark.parametrize(
    ("text", "line"), [("a = 1\nb = \n", "line 2"), ("[component\n", "line 1"), ('a = "x', "last line"), ("a = 1\na = 2\n", "line 2")]
)
def test_what_is_no_toml_is_refused_with_the_line(file: Path, text: str, line: str) -> None:
    assert refusal(file, text).startswith(f"{line}: ")


def test_a_file_that_is_not_there_or_is_no_text_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(str(file))}: there is no such file$"):
        load(file, {})
    with pytest.raises(ConfigError, match="can't be read"):
        load(tmp_path, {})
    file.write_bytes(b"a = '\xff'")
    with pytest.raises(ConfigError, match="byte 5: is no UTF-8"):
        load(file, {})


def test_the_environment_wins_over_the_file(file: Path) -> None:
    settings = loaded(
        file,
        COMPONENT + SHOP,
        {
            "RAPPORT_COMPONENT__SECRET": "12345678",
            "RAPPORT_COMPONENT__PORT": "5348",
            "RAPPORT_COMPONENT__SERVED_HOSTS": "a.example, b.example",
            "RAPPORT_COMPONENT__ADMINS": '["ann@a.example"]',
            "RAPPORT_PRESENCE__SENT_WINDOW": "10s",
            "RAPPORT_LEVELS__THRESHOLDS": "8,4,2,1",
            "RAPPORT_VIRTUAL__0__NAME": "Bücher",
            "RAPPORT_HTTP__LISTEN": "[::1]:8080",
            "RAPPORT_COMMUNITY": "[]",
            "RAPPORT_LOG": "debug",
            "PATH": "/bin",
        },
    )
    assert settings.component.secret.get_secret_value() == "12345678"
    assert settings.component.port == 5348
    assert settings.component.served_hosts == ("a.example", "b.example")
    assert settings.component.admins == ("ann@a.example",)
    assert settings.presence.sent_window == 10
    assert settings.levels.thresholds == (8, 4, 2, 1)
    assert settings.virtual[0].name == "Bücher"
    assert settings.http is not None
    assert settings.http.listen == ("::1", 8080)


def test_the_environment_alone_can_hold_all(file: Path) -> None:
    settings = loaded(
        file,
        "",
        {
            "RAPPORT_COMPONENT__JID": "rapport.example.org",
            "RAPPORT_COMPONENT__SECRET": "horse",
            "RAPPORT_COMPONENT__SERVED_HOSTS__0": "example.org",
            "RAPPORT_VIRTUAL__1__NODE": "help",
            "RAPPORT_VIRTUAL__1__NAME": "Help Desk",
            "RAPPORT_VIRTUAL__0__NODE": "shop",
            "RAPPORT_VIRTUAL__0__NAME": "The Bookshop",
            "RAPPORT_VIRTUAL__0__MEMBER__0__JID": "cat@example.org",
            "RAPPORT_VIRTUAL__0__MEMBER__0__CAPACITY": "3",
            "RAPPORT_VIRTUAL__0__MEMBER__0__ATTRIBUTES__LANGUAGE": "de, en",
            "RAPPORT_HTTP__LISTEN": "127.0.0.1:8484",
        },
    )
    assert settings.component.served_hosts == ("example.org",)
    assert [virtual.node for virtual in settings.virtual] == ["shop", "help"]
    (cat,) = settings.virtual[0].team
    assert (cat.jid, cat.capacity, cat.attributes) == ("cat@example.org", 3, {"language": "de, en"})


def test_the_environment_adds_to_what_the_file_lists(file: Path) -> None:
    more = {"RAPPORT_VIRTUAL__1__NODE": "help", "RAPPORT_VIRTUAL__1__NAME": "Help", "RAPPORT_VIRTUAL__0__MEMBERS__1": "ben@x.org"}
    settings = loaded(file, COMPONENT + SHOP + 'members = ["ann@x.org", "cat@x.org"]\n', more)
    assert [virtual.node for virtual in settings.virtual] == ["shop", "help"]
    assert settings.virtual[0].members == ("ann@x.org", "ben@x.org")


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("RAPPORT_COMPONENT__SECERT", "x", "RAPPORT_COMPONENT__SECERT: component.secert: unknown key"),
        ("RAPPORT_PRESENSE__SETTLE", "1s", "RAPPORT_PRESENSE__SETTLE: presense: unknown key"),
        ("RAPPORT_COMPONENT__PORT", "many", "RAPPORT_COMPONENT__PORT: component.port: input should be a valid integer"),
        ("RAPPORT_COMPONENT__SECRET", "", "RAPPORT_COMPONENT__SECRET: component.secret: it is empty"),
        ("RAPPORT_COMPONENT__JID", "a@@b", "RAPPORT_COMPONENT__JID: component.jid: 'a@@b' is no JID: it has more than one @"),
        ("RAPPORT_COMPONENT__SECRET__X", "x", "RAPPORT_COMPONENT__SECRET__X: component.secret.x: unknown key"),
        ("RAPPORT_COMPONENT", "x", "RAPPORT_COMPONENT: component: it is a table"),
        ("RAPPORT_VIRTUAL__2__NAME", "x", "RAPPORT_VIRTUAL__2__NAME: virtual[2].name: there is no such entry: they are counted from 0"),
        ("RAPPORT_VIRTUAL__FIRST__NAME", "x", "RAPPORT_VIRTUAL__FIRST__NAME: virtual.first.name: unknown key"),
        ("RAPPORT_STORAGE__URL", "postgresql://u:correct horse@h:x/d", "RAPPORT_STORAGE__URL: storage.url: it is 'sqlite:///FILE'"),
        ("RAPPORT_COMPONENT__ADMINS", "a@b,c", "RAPPORT_COMPONENT__ADMINS: component.admins[1]: 'c' has no local part"),
    ],
)
def test_a_wrong_variable_is_named_in_place_of_the_file(file: Path, variable: str, value: str, line: str) -> None:
    assert refusal(file, COMPONENT + SHOP, {variable: value}).startswith(line)


def test_a_secret_comes_from_a_file_beside_the_config_without_its_last_newline(file: Path) -> None:
    for content in ("horse\n", "horse", "horse\r\n"):
        file.with_name("the.secret").write_text(content, newline="")
        settings = loaded(file, COMPONENT.replace('secret = "correct horse"', 'secret_file = "the.secret"'))
        assert settings.component.secret.get_secret_value() == "horse"
    file.with_name("the.call").write_text("two\n\n")
    settings = loaded(file, COMPONENT + MOVIES.replace('call_password = "battery"', 'call_password_file = "the.call"'))
    assert settings.community[0].call_password.get_secret_value() == "two\n"


def test_a_secret_is_given_in_one_way(file: Path) -> None:
    both = COMPONENT + 'secret_file = "the.secret"\n'
    assert refusal(file, both) == "component.secret_file: 'secret' is given too: one of the two is enough"
    missing = COMPONENT.replace('secret = "correct horse"', 'secret_file = "the.secret"')
    assert refusal(file, missing).startswith("component.secret_file: ")
    file.with_name("the.secret").write_text("\n")
    assert refusal(file, missing).endswith("is empty")


def test_a_secret_of_the_environment_stands_for_either_way_of_the_file(file: Path) -> None:
    file.with_name("other.secret").write_text("of the file")
    pointing = COMPONENT.replace('secret = "correct horse"', 'secret_file = "the.secret"')
    assert loaded(file, pointing, {"RAPPORT_COMPONENT__SECRET": "x"}).component.secret.get_secret_value() == "x"
    pointed = loaded(file, COMPONENT, {"RAPPORT_COMPONENT__SECRET_FILE": "other.secret"})
    assert pointed.component.secret.get_secret_value() == "of the file"


def test_a_file_with_a_secret_that_all_may_read_is_warned_of(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    loaded(file, COMPONENT)
    assert caplog.records == []
    file.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        load(file, {})
    (record,) = caplog.records
    assert str(file) in record.getMessage()
    assert "correct horse" not in record.getMessage()
    caplog.clear()
    load(file, {"RAPPORT_COMPONENT__SECRET": "of the environment"})
    assert caplog.records == []


def test_the_control_socket_is_beside_the_file_by_default(file: Path) -> None:
    settings = loaded(file, COMPONENT)
    folder = sockets.RUNTIME if sockets.RUNTIME.is_dir() else file.parent
    assert settings.component.control_socket == folder / "rapport.example.org.sock"
    named = loaded(file, COMPONENT + 'control_socket = "run/x.sock"\n')
    assert named.component.control_socket == file.parent / "run" / "x.sock"
