"""The command line (spec/00-overview.md, Command line): parses words, calls, prints.

Exit status: 0 done; 1 could not be done, with the reason on one line of stderr; 2 the words or the configuration are wrong.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlencode

import typer

from component.cli import archive, ask, check, init, output, words
from config.load import ConfigError, load
from config.settings import Settings
from stanzas import jid

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

DEFAULTS = (Path("rapport.toml"), Path("/etc/rapport/rapport.toml"))
LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}

Config = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The configuration; else ./rapport.toml or /etc/rapport/rapport.toml.")
]


def main() -> NoReturn:
    """What `rapport` runs."""
    try:
        app(prog_name="rapport")
    except ConfigError as error:
        output.problem(str(error))
        sys.exit(2)
    except (ask.NotRunning, ask.Failed, words.Mistyped) as error:
        output.problem(str(error))
        sys.exit(1)
    sys.exit(0)


@app.callback(invoke_without_command=True)
def rapport(context: typer.Context, show_version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Rapport, an XMPP component that knows who talks to whom."""
    if show_version:
        output.note(f"rapport {version('rapport')}")
        raise typer.Exit
    # What only asks has an answer to print, and no events to tell.
    _logging("info" if context.invoked_subcommand == "run" else "warning")


@app.command()
def run(config: Config = None) -> None:
    """Run the component until SIGTERM or SIGINT."""
    for number in (signal.SIGTERM, signal.SIGINT):  # until it listens for them itself: its start takes a moment
        signal.signal(number, lambda *_: sys.exit(0))
    settings = _settings(config)
    from component.app import run as run_component

    raise typer.Exit(run_component(settings))


@app.command("check")
def check_all(config: Config = None) -> None:
    """Check the configuration, the server and the database."""
    found = asyncio.run(check.checks(_settings(config)))
    raise typer.Exit(0 if check.show(found) else 1)


@app.command("init")
def set_up(
    server: Annotated[init.Server, typer.Option(help="Which server it is.")],
    host: Annotated[str, typer.Option(metavar="DOMAIN", help="The host to serve, like example.org.")],
    component: Annotated[str, typer.Option(metavar="DOMAIN", help="Rapport's own domain; else rapport.HOST.")] = "",
    admin: Annotated[list[str] | None, typer.Option(metavar="JID", help="An admin of Rapport; may be given again.")] = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port that the server takes components at.")] = init.DEFAULT_PORT,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The configuration to write.")] = DEFAULTS[0],
    module_dir: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where Prosody is to look for the module; else where it came with Rapport.")
    ] = None,
) -> None:
    """Write a configuration with a fresh secret, and print the server's part of it."""
    try:
        served = jid.parse_domain(host)
        own = jid.parse_domain(component or f"rapport.{served}")
        admins = tuple(map(jid.parse_bare, admin or ()))
    except ValueError as error:
        _fail(str(error), 2)
    if own == served:
        _fail(f"{own!r} is the served host: the component needs a domain of its own", 2)
    plan = init.Plan(served, own, port, init.fresh_secret(), admins, module_dir)
    try:
        init.write(out, plan)
    except FileExistsError:
        _fail(f"{out} is there already, and is left as it is")
    except OSError as error:
        _fail(f"{out} can't be written: {error.strerror}")
    print(init.snippet(server, plan, out), end="")


@app.command()
def demo(once: Annotated[bool, typer.Option("--once", help="End after the scene.")] = False) -> None:
    """Play a scene on a private Prosody, and stay up to log in to."""
    from component.cli.demo import demo as play

    raise typer.Exit(play(once=once))


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def admin(
    context: typer.Context,
    config: Config = None,
    asker: Annotated[str | None, typer.Option("--asker", metavar="JID", help="Whose command it is; else an admin's.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write a document; else to standard output.")] = None,
) -> None:
    """Give a running component a command: rapport admin COMMAND [ACTION] [--FIELD VALUE]...; --help lists them."""
    socket = _settings(config).component.control_socket
    helped = "--help" in context.args
    given = [word for word in context.args if word != "--help"]
    if not given:
        output.note("rapport admin [--asker JID] COMMAND [ACTION] [--FIELD VALUE]...: gives a running component a command.")
    commands = "/commands" if asker is None else f"/commands?{urlencode({'asker': asker})}"
    known = {one["node"]: words.Command.of(one) for one in asyncio.run(ask.get(socket, commands))}
    if not given:
        output.table([(one.node, one.title) for one in known.values()])
        return
    node, *rest = given
    if node not in known:
        _fail(words.unknown(node, known))
    if known[node].problem:
        _fail(known[node].problem)
    if helped:
        output.note(f"{words.usage(known[node])}\n{known[node].title}. {known[node].help}")
        output.table(words.described(known[node].fields))
        return
    values = words.texts(known[node], rest)
    answer = asyncio.run(ask.post(socket, "/command", {"node": node, "asker": asker, "values": values}))
    if "document" in answer:
        _deliver(answer, out)
        return
    _show(answer)
    if out is not None:
        _fail(f"{out} was not written: this command's answer is no document")


@app.command()
def explain(user: str, contact: str, config: Config = None) -> None:
    """Say why CONTACT (a JID, or a name in USER's roster) sees USER as it does: the evidence, and when it changes."""
    settings = _settings(config)
    try:
        question = {"user": archive.local_user(settings, user), "contact": contact}
    except ValueError as error:
        _fail(str(error))
    _show(asyncio.run(ask.post(settings.component.control_socket, "/explain", question)))


@app.command()
def import_archive(users: Annotated[list[str], typer.Argument(metavar="USER...")], config: Config = None) -> None:
    """Fill the ledger from the server's message archive; what is known already changes nothing."""
    settings = _settings(config)
    try:
        known = [archive.local_user(settings, user) for user in users]
    except ValueError as error:
        _fail(str(error))
    asyncio.run(archive.import_archive(settings, list(dict.fromkeys(known))))


def _settings(config: Path | None) -> Settings:
    # Not Path.exists, which raises in a directory that the asker may not look into.
    return load(config or next((path for path in DEFAULTS if os.access(path, os.F_OK)), DEFAULTS[0]))


def _show(answer: Mapping[str, Any]) -> None:
    if answer.get("note"):
        output.note(answer["note"])
    output.table(answer.get("rows", ()))
    if more := answer.get("ask"):
        output.note(f"{more['note']}\nNothing is done yet. To go on, give the same command with:")
        output.table(words.described(map(words.Field.of, more["fields"])))
        raise typer.Exit(1)


def _deliver(answer: Mapping[str, Any], out: Path | None) -> None:
    """A document, to a new file that nobody else can read, or to standard output."""
    if out is None:
        print(answer["document"])
        return
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            print(answer["document"], file=file)
    except OSError as error:
        _fail(f"{out} can't be written: {error.strerror}")
    output.note(answer["note"])


def _fail(reason: str, status: int = 1) -> NoReturn:
    output.problem(reason)
    raise typer.Exit(status)


class _OneLine(logging.Formatter):
    """One line per event, whatever is in it; a traceback, which only a fault of Rapport's own leaves, keeps its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        return " ".join(super().formatMessage(record).splitlines())


def _logging(otherwise: str) -> None:
    wanted = os.environ.get("RAPPORT_LOG", otherwise).lower()
    if wanted not in LEVELS:
        raise ConfigError("RAPPORT_LOG", "", f"{wanted!r} is none of {', '.join(LEVELS)}")
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # Ours alone: slixmpp's debug log has whole stanzas, texts and all.
    for ours in ("component", "config"):
        logging.getLogger(ours).setLevel(LEVELS[wanted])
