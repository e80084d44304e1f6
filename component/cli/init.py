"""`rapport init`: a config with a fresh secret, and what the server's admin pastes."""

import json
import os
import secrets
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import config

MODULES = Path("/usr/local/lib/prosody/modules")
"""Where Debian's prosody.cfg.lua has its `plugin_paths` look for modules of one's own."""


class Server(Enum):
    PROSODY = "prosody"
    EJABBERD = "ejabberd"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is set up: a component of a server for one host."""

    host: str
    component: str
    port: int
    secret: str
    admins: tuple[str, ...] = ()
    modules: Path = MODULES


def fresh_secret() -> str:
    """256 random bits, as letters, digits, `-` and `_`."""
    return secrets.token_urlsafe(32)


def write(path: Path, plan: Plan) -> None:
    """Writes the config, readable by its owner alone. Raises FileExistsError (nothing is ever overwritten) and other OSErrors."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(_config(plan))


def snippet(server: Server, plan: Plan, path: Path) -> str:
    """What the server's configuration needs; the steps around it, with the config at `path`, stand in comments."""
    return _SNIPPETS[server](plan, path)


def _config(plan: Plan) -> str:
    admins = ", ".join(map(_quoted, plan.admins))
    return f"""\
# Rapport's configuration: docs/configuration.md has all keys.

[component]
jid = {_quoted(plan.component)}
secret = {_quoted(plan.secret)}
host = "127.0.0.1"
port = {plan.port}
served_hosts = [{_quoted(plan.host)}]
admins = [{admins}]

[storage]
url = "sqlite:///rapport.db"
"""


def _shipped(server: Server, name: str) -> Path:
    return Path(config.__file__).parent / server.value / name


def _prosody(plan: Plan, path: Path) -> str:
    return f"""\
-- Rapport at {plan.component}, for {plan.host}.
--
-- 1. Install the module:
--      install -D -m 644 {_shipped(Server.PROSODY, "mod_rapport.lua")} {plan.modules / "mod_rapport.lua"}
-- 2. Save this as /etc/prosody/conf.d/rapport.cfg.lua, or paste it at the end of prosody.cfg.lua.
--    Options that are there already: add to their lists instead of setting them twice.
-- 3. systemctl restart prosody
-- 4. rapport run --config {path}, and in another terminal: rapport check --config {path}

VirtualHost "*" {{ -- the global section
    plugin_paths = {{ {_quoted(str(plan.modules))} }};
    network_settings = {{ nagle = false }};
    component_ports = {{ {plan.port} }};
}}

VirtualHost {_quoted(plan.host)} {{
    modules_enabled = {{ "rapport" }};
    rapport_component = {_quoted(plan.component)};
}}

Component {_quoted(plan.component)} {{
    component_secret = {_quoted(plan.secret)};
    modules_enabled = {{ "rapport" }};
}}
"""


def _quoted(text: str) -> str:
    """A string of TOML, Lua and YAML alike."""
    return json.dumps(text, ensure_ascii=False)


def _ejabberd(plan: Plan, path: Path) -> str:
    return f"""\
# Rapport at {plan.component}, for {plan.host}. docs/ejabberd.md has more.
#
# 1. Install the module, which ejabberd compiles (before ejabberd.yml names it):
#      install -d -o ejabberd -g ejabberd ~ejabberd/.ejabberd-modules/sources/mod_rapport/src
#      install -o ejabberd -g ejabberd -t ~ejabberd/.ejabberd-modules/sources/mod_rapport {_shipped(Server.EJABBERD, "mod_rapport.spec")}
#      install -o ejabberd -g ejabberd -t ~ejabberd/.ejabberd-modules/sources/mod_rapport/src {_shipped(Server.EJABBERD, "mod_rapport.erl")}
#      ejabberdctl module_install mod_rapport
# 2. Add these entries to `listen` and `modules` in /etc/ejabberd/ejabberd.yml.
# 3. ejabberdctl reload_config
# 4. rapport run --config {path}, and in another terminal: rapport check --config {path}

listen:
  -
    port: {plan.port}
    ip: "127.0.0.1"
    module: ejabberd_service
    hosts:
      {_quoted(plan.component)}:
        password: {_quoted(plan.secret)}

modules:
  mod_rapport:
    component: {_quoted(plan.component)}
"""


_SNIPPETS = {Server.PROSODY: _prosody, Server.EJABBERD: _ejabberd}
