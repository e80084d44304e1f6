"""`rapport init`: a config with a fresh secret, and what the server's admin pastes."""

import json
import os
import secrets
import shlex
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import config

MODULES = Path("/usr/local/lib/prosody/modules")
"""Where Debian's prosody.cfg.lua has its `plugin_paths` look for modules of one's own."""

DEFAULT_PORT = 5347
"""Where Prosody takes components unless its `component_ports` says another."""

_LOADED = 'modules_enabled = { "rapport" }'


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
    modules: Path | None = None
    """Where Prosody is to look for the module; None: where it came with Rapport if Prosody can read it there, else in MODULES."""


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


def readable_by_all(file: Path) -> bool:
    """Whether any user of the machine, Prosody's too, may read this file (an absolute path)."""
    return all(each.stat().st_mode & (stat.S_IROTH if each == file else stat.S_IXOTH) for each in (file, *file.parents))


def _prosody(plan: Plan, path: Path) -> str:
    module = _shipped(Server.PROSODY, "mod_rapport.lua")
    in_place = plan.modules is None and readable_by_all(module)
    paths = [module.parent, MODULES] if in_place else [plan.modules or MODULES]
    steps = [
        "Paste this at the end of prosody.cfg.lua, or as conf.d/rapport.cfg.lua beside that (root:prosody, 0640: it holds a secret).\n"
        "--    An option that is set already: add to it there and leave it out here, for the later one replaces the earlier.",
        "systemctl restart prosody",
        f"rapport run --config {path.absolute()}, and in another terminal: rapport check --config {path.absolute()}",
    ]
    if not in_place:
        copy = shlex.join(["install", "-D", "-m", "644", str(module), str(paths[0] / module.name)])
        steps.insert(0, f"Copy the module to where Prosody can read it:\n--      {copy}")

    everywhere = [f"plugin_paths = {{ {', '.join(_quoted(str(each)) for each in paths)} }}", "network_settings = { nagle = false }"]
    if plan.port != DEFAULT_PORT:
        everywhere.append(f"component_ports = {{ {plan.port} }}")
    host = [_LOADED, f"rapport_component = {_quoted(plan.component)}"]
    # Prosody lists subdomains of a host among its services by itself (mod_disco).
    if not plan.component.endswith(f".{plan.host}"):
        host.append(f'disco_items = {{ {{ {_quoted(plan.component)}, "Rapport" }} }}')
    return "\n".join(
        [
            f"-- Rapport at {plan.component}, for {plan.host}.\n--",
            *(f"-- {number}. {step}" for number, step in enumerate(steps, 1)),
            _section('VirtualHost "*"', everywhere, " -- the global section"),
            _section(f"VirtualHost {_quoted(plan.host)}", host),
            _section(f"Component {_quoted(plan.component)}", [f"component_secret = {_quoted(plan.secret)}", _LOADED]),
            "",
        ]
    )


def _section(head: str, options: Sequence[str], remark: str = "") -> str:
    """A section of Prosody's configuration, in braces: what comes after it is no part of it."""
    return "\n".join(["", f"{head} {{{remark}", *(f"    {option};" for option in options), "}"])


def _quoted(text: str) -> str:
    """A string of TOML, Lua and YAML alike."""
    return json.dumps(text, ensure_ascii=False)


def _ejabberd(plan: Plan, path: Path) -> str:
    sources = "~ejabberd/.ejabberd-modules/sources/mod_rapport"
    spec, module = (shlex.quote(str(_shipped(Server.EJABBERD, name))) for name in ("mod_rapport.spec", "mod_rapport.erl"))
    return f"""\
# Rapport at {plan.component}, for {plan.host}. docs/ejabberd.md has more.
#
# 1. As root, install the module, which ejabberd compiles (before ejabberd.yml names it):
#      runuser -u ejabberd -- mkdir -p {sources}/src
#      install -o ejabberd -g ejabberd -m 644 {spec} {sources}/
#      install -o ejabberd -g ejabberd -m 644 {module} {sources}/src/
#      ejabberdctl module_install mod_rapport
# 2. In /etc/ejabberd/ejabberd.yml add the entry to `listen`, and the rest at the end (an append_host_config that is there
#    already: add to that one).
# 3. Have ejabberd read it:
#      ejabberdctl reload_config
# 4. Start Rapport, and in another terminal see that all works:
#      rapport run --config {shlex.quote(str(path))}
#      rapport check --config {shlex.quote(str(path))}

listen:
  -
    port: {plan.port}
    ip: "127.0.0.1"
    module: ejabberd_service
    hosts:
      {_quoted(plan.component)}:
        password: {_quoted(plan.secret)}

append_host_config:
  {_quoted(plan.host)}:
    modules:
      mod_rapport:
        component: {_quoted(plan.component)}
"""


_SNIPPETS = {Server.PROSODY: _prosody, Server.EJABBERD: _ejabberd}
