import json
import shlex
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from component.cli import init
from config.load import load

PLAN = init.Plan("example.org", "rapport.example.org", 5348, "the-secret", ("admin@example.org",), Path('/srv/mod\'s "own"'))


def test_the_config_loads_and_is_its_owners_alone(tmp_path: Path) -> None:
    init.write(tmp_path / "rapport.toml", PLAN)
    settings = load(tmp_path / "rapport.toml", {})
    assert settings.component.jid == "rapport.example.org"
    assert settings.component.served_hosts == ("example.org",)
    assert settings.component.port == 5348
    assert settings.component.secret.get_secret_value() == "the-secret"
    assert settings.component.admins == ("admin@example.org",)
    assert (tmp_path / "rapport.toml").stat().st_mode & 0o777 == 0o600


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "rapport.toml").write_text("mine")
    with pytest.raises(FileExistsError):
        init.write(tmp_path / "rapport.toml", PLAN)
    assert (tmp_path / "rapport.toml").read_text() == "mine"


def test_each_secret_is_another() -> None:
    secrets = {init.fresh_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) >= 43 for secret in secrets)


def test_the_snippet_for_prosody_is_lua_with_the_shipped_module_and_the_secret(tmp_path: Path) -> None:
    text = init.snippet(init.Server.PROSODY, PLAN, Path("rapport.toml"))
    (tmp_path / "rapport.cfg.lua").write_text(text)
    subprocess.run(["luac", "-p", tmp_path / "rapport.cfg.lua"], check=True)
    for line in ('VirtualHost "example.org"', 'Component "rapport.example.org"', 'component_secret = "the-secret"', "nagle = false"):
        assert line in text
    assert text.count('modules_enabled = { "rapport" }') == 2
    assert 'rapport_component = "rapport.example.org"' in text
    assert "component_ports = { 5348 }" in text


def test_the_module_is_copied_to_the_directory_that_the_admin_names() -> None:
    text = init.snippet(init.Server.PROSODY, PLAN, Path("rapport.toml"))
    [copy] = [line for line in text.splitlines() if "install -D" in line]
    assert shlex.split(copy)[-1] == f"{PLAN.modules}/mod_rapport.lua"
    assert f"plugin_paths = {{ {json.dumps(str(PLAN.modules))} }}" in text


def test_only_a_module_that_prosody_can_read_may_stay_where_it_is(tmp_path: Path) -> None:
    module = tmp_path / "mod_rapport.lua"
    module.touch()
    tmp_path.chmod(0o700)
    assert not init.readable_by_all(module)
    assert init.readable_by_all(Path("/etc/passwd"))


def test_what_prosody_has_by_default_is_left_to_prosody() -> None:
    text = init.snippet(init.Server.PROSODY, replace(PLAN, port=init.DEFAULT_PORT), Path("rapport.toml"))
    assert "component_ports" not in text
    assert "disco_items" not in text


def test_a_component_elsewhere_is_listed_among_the_services_of_the_host() -> None:
    text = init.snippet(init.Server.PROSODY, replace(PLAN, component="rapport.net"), Path("rapport.toml"))
    assert 'disco_items = { { "rapport.net", "Rapport" } }' in text


def test_the_snippet_for_ejabberd_names_component_and_secret() -> None:
    text = init.snippet(init.Server.EJABBERD, PLAN, Path("rapport.toml"))
    for line in ("port: 5348", 'password: "the-secret"', "mod_rapport:", 'component: "rapport.example.org"'):
        assert line in text


@pytest.mark.parametrize("server", init.Server)
def test_the_shipped_files_that_a_snippet_copies_are_there(server: init.Server) -> None:
    text = init.snippet(server, PLAN, Path("rapport.toml"))
    shipped = [word for word in text.split() if "/config/" in word and "mod_rapport" in word]
    assert shipped
    assert all(Path(word).is_file() for word in shipped)


def test_the_config_is_toml_whatever_the_admin_is_called(tmp_path: Path) -> None:
    init.write(tmp_path / "rapport.toml", init.Plan("x", "r.x", 1, "s", (r"o\27neil@x",)))
    assert tomllib.loads((tmp_path / "rapport.toml").read_text())["component"]["admins"] == [r"o\27neil@x"]
