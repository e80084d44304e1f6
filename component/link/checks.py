"""What `rapport check` looks at: each part of what the configuration needs, seen to work (spec/00-overview.md, Command line)."""

from collections.abc import Sequence

from component.checks import Check
from component.ledger.engine import Database
from component.link.server import Link
from component.link.stream import Stream
from component.ports import IqError, LinkDown
from stanzas import link

_LOAD = (
    'modules_enabled = {{ "rapport" }} on VirtualHost "{host}" and on Component "{jid}", and rapport_component = "{jid}" on the host '
    "(ejabberd: mod_rapport with component: {jid})"
)

STORAGE = 5.0
"""Seconds that the database has to answer."""


async def check(stream: Stream, server: Link, database: Database) -> Sequence[Check]:
    """A row for each; asks the server, and waits for its answers."""
    first = _stream(stream)
    rows = [first]
    for host in sorted(server.served_hosts):
        rows.extend(await _host(stream, server, host, first.mend))
    answers = await database.answers(STORAGE)
    rows.append(Check("storage", answers, "answers" if answers else "does not answer", "[storage] url here, or the database that it names"))
    return rows


def _stream(stream: Stream) -> Check:
    if stream.up:
        return Check("stream", True, f"connected as {stream.jid}")
    if "not-authorized" in stream.why_down:
        mend = (
            f'component_secret of Component "{stream.jid}" (ejabberd: password of {stream.jid} in ejabberd_service) '
            "and [component] secret here must be the same"
        )
    elif "host-unknown" in stream.why_down:
        mend = f'Component "{stream.jid}" on the server (ejabberd: {stream.jid} in the hosts of ejabberd_service)'
    elif "conflict" in stream.why_down:
        mend = f"another program is connected as {stream.jid}: stop it"
    else:
        mend = (
            f'Component "{stream.jid}", component_ports, component_interfaces on the server (ejabberd: ejabberd_service in listen), '
            "which was restarted since; [component] host, port here"
        )
    return Check("stream", False, stream.why_down, mend)


async def _host(stream: Stream, server: Link, host: str, mend_stream: str) -> list[Check]:
    module = server.modules.get(host)
    if module is None or not server.linked(host):
        why, mend = server.refused.get(host, "no answer to the hello"), _LOAD.format(host=host, jid=stream.jid)
        if not stream.up:
            why, mend = "no stream", mend_stream
        elif "version" in why:
            mend = "the module and Rapport of the same release"
        rows = [Check(f"link {host}", False, why, mend)]
        rows += [Check(f"{part} {host}", False, "no link", mend) for part in ("roster", "presence", "tap", "gate")]
        return rows
    dropped = f", {module.dropped} taps dropped" if module.dropped else ""
    return [
        Check(f"link {host}", True, f"version {link.VERSION}, {module.server}"),
        await _roster(server, host),
        Check(f"presence {host}", True, f"{server.session_count(host)} sessions"),
        Check(f"tap {host}", True, f"buffer {module.buffer}{dropped}"),
        Check(f"gate {host}", True, f"fail-open after {module.grace:g} s"),
    ]


async def _roster(server: Link, host: str) -> Check:
    """Asks for the roster of a user that cannot be: the refusal shows that rosters are answered."""
    try:
        await server.roster(f"rapport-check@{host}")
    except LookupError:
        return Check(f"roster {host}", True, "answers")
    except (LinkDown, IqError) as error:
        return Check(f"roster {host}", False, str(error), 'modules_enabled = { "roster" }')
    return Check(f"roster {host}", True, "answers")
