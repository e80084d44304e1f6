"""Fixtures: private servers, clients, components and Rapport. Each test gets fresh ones."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rig.component import RawComponent
from rig.ejabberd import Ejabberd
from rig.postgres import Postgres
from rig.prosody import Prosody
from rig.rapport import Rapport
from rig.raw import RawClient
from rig.scene import Scene
from rig.server import Host, Server, friends
from rig.xml import Element

SERVERS: dict[str, type[Server]] = {"prosody": Prosody, "ejabberd": Ejabberd}
ON_EJABBERD = ("rig_test", "link", "ejabberd")
"""The folders whose stories are run on ejabberd too by default; `make test-ejabberd` runs all that can be (docs/ejabberd.md)."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", action="append", choices=sorted(SERVERS), help="run the stories on this server")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "allow_errors: Rapport's log may hold errors, for that is what the test makes")
    config.addinivalue_line("markers", "only_on(server, reason): the story is about what only this server has or does")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server_class" in metafunc.fixturenames:
        names = metafunc.config.getoption("--server") or _servers_of(metafunc.definition.path)
        metafunc.parametrize("server_class", [SERVERS[name] for name in names], ids=names)


def _servers_of(file: Path) -> list[str]:
    return list(SERVERS) if file.parent.name in ON_EJABBERD else ["prosody"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    config.hook.pytest_deselected(items=[item for item in items if not _can_run(item)])
    items[:] = filter(_can_run, items)


def _can_run(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("only_on")
    callspec = getattr(item, "callspec", None)
    return marker is None or callspec is None or marker.args[0] == callspec.params["server_class"].kind


MakeServer = Callable[..., Awaitable[Any]]

failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[failed] = report.failed
    return report


def look_into(request: pytest.FixtureRequest, log_of: str, lines: list[str], faults: list[str]) -> None:
    """After a test: show the end of a log if it failed; fail if the log has what no test may leave behind."""
    if request.node.stash.get(failed, False):
        print(f"--- {log_of}, the last lines ---", *lines[-60:], sep="\n")
    elif request.node.get_closest_marker("allow_errors") is None:
        assert not faults, f"{log_of} has errors:\n" + "\n".join(faults[:40])


@pytest.fixture
async def _discarded() -> AsyncIterator[contextlib.AsyncExitStack]:
    """What a test started, ended in reverse order."""
    async with contextlib.AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def _made_servers(
    request: pytest.FixtureRequest, _discarded: contextlib.AsyncExitStack
) -> AsyncIterator[Callable[[Server], Awaitable[Any]]]:
    made: list[Server] = []

    async def start(server: Server) -> Server:
        made.append(server)
        _discarded.push_async_callback(server.discard)
        await server.start()
        return server

    yield start
    for server in made:
        look_into(request, f"the log of {server.kind}", server.log_lines(), server.faults())


@pytest.fixture
async def make_server(server_class: type[Server], _made_servers: MakeServer) -> MakeServer:
    """Start a server of the kind under test: `await make_server(hosts, grace=2, …)`."""

    async def make(*args: Any, **kwargs: Any) -> Any:
        return await _made_servers(server_class(*args, **kwargs))

    return make


@pytest.fixture
async def make_prosody(_made_servers: MakeServer) -> MakeServer:
    """Start a Prosody, for what only it has: `await make_prosody(hosts, extra=…)`."""

    async def make(*args: Any, **kwargs: Any) -> Any:
        return await _made_servers(Prosody(*args, **kwargs))

    return make


@pytest.fixture
async def server(make_server: MakeServer) -> Server:
    """A server with alice, bob and carol, who have each other in the roster."""
    made: Server = await make_server()
    return made


@pytest.fixture
async def prosody(make_prosody: MakeServer) -> Prosody:
    """As `server`, always a Prosody."""
    made: Prosody = await make_prosody()
    return made


@pytest.fixture
async def client(_discarded: contextlib.AsyncExitStack) -> Callable[..., Awaitable[RawClient]]:
    """`await client(server, "alice@localhost/phone")`: logged in and available (`available=False`: only bound)."""

    async def make(server: Server, jid: str, available: bool = True, show: str | None = None) -> RawClient:
        made = RawClient(server)
        _discarded.push_async_callback(made.close)
        return await (made.login(jid, show=show) if available else made.connect(jid))

    return make


@pytest.fixture
async def component(_discarded: contextlib.AsyncExitStack) -> Callable[..., Awaitable[RawComponent]]:
    """`await component(server)`: connected as the component's domain."""

    async def make(server: Server, domain: str | None = None) -> RawComponent:
        made = RawComponent(server, domain)
        _discarded.push_async_callback(made.close)
        return await made.connect()

    return make


@pytest.fixture
async def linked(component: Callable[..., Awaitable[RawComponent]]) -> Callable[..., Awaitable[RawComponent]]:
    """`await linked(server, "alice")`: a component whose link with the first host is up, with alice gated."""

    async def make(server: Server, *gated: str) -> RawComponent:
        made = await component(server)
        await made.start(*gated)
        return made

    return make


@dataclass
class Tailored:
    """alice is gated, and bob has been shown her session as `dnd`, by the key K."""

    rapport: RawComponent
    epoch: str
    alice: RawClient
    bob: RawClient
    session: Element


@pytest.fixture
async def tailored(
    server: Server, client: Callable[..., Awaitable[RawClient]], component: Callable[..., Awaitable[RawComponent]]
) -> Tailored:
    rapport = await component(server)
    hello = await rapport.start("alice")
    alice = await client(server, "alice@localhost/phone")
    bob = await client(server, "bob@localhost/phone")
    session = await rapport.expect_notice("session", where=lambda each: each.get("jid") == alice.jid)
    await rapport.show(alice.jid, session.get("v", ""), "dnd", "K", ["bob@localhost"])
    await bob.sees("alice@localhost", "dnd")
    return Tailored(rapport, hello.get("epoch", ""), alice, bob, session)


@pytest.fixture
async def rapport(
    request: pytest.FixtureRequest, _discarded: contextlib.AsyncExitStack
) -> AsyncIterator[Callable[..., Awaitable[Rapport]]]:
    """`await rapport(server, {"presence": {"sent_window": "1s"}})`: running and linked (`start=False`: not yet)."""
    made: list[Rapport] = []

    async def make(server: Server, settings: dict[str, Any] | None = None, start: bool = True, **kwargs: Any) -> Rapport:
        one = Rapport(server, settings, **kwargs)
        made.append(one)
        _discarded.push_async_callback(one.discard)
        if start:
            await one.start()
        return one

    yield make
    # An error on the way out is one too; what a test stopped in mid-run is let go first.
    codes = [await one.stop() for one in made if one.running]
    for one in made:
        look_into(request, "Rapport's log", one.log_lines(), one.faults())
    if request.node.get_closest_marker("allow_errors") is None:
        assert codes == [0] * len(codes), "Rapport did not end well"


@pytest.fixture
async def scene(
    make_server: MakeServer,
    rapport: Callable[..., Awaitable[Rapport]],
    client: Callable[..., Awaitable[RawClient]],
) -> Callable[..., Awaitable[Scene]]:
    """`await scene("alice", "bob/laptop", settings={…}, storage=…, grace=2)`: friends, online, with Rapport running.

    `hosts` gives other accounts and rosters; what is left is for the server.
    """

    async def make(
        *jids: str,
        settings: dict[str, Any] | None = None,
        storage: str | None = None,
        hosts: Sequence[Host] | None = None,
        **kwargs: Any,
    ) -> Scene:
        people = dict.fromkeys(jid.partition("/")[0] for jid in jids)
        server = await make_server(hosts or (Host(users=friends(*people)),), **kwargs)
        made = Scene(server, await rapport(server, settings, storage=storage), client)
        if jids:
            await made.enter(*jids)
        return made

    return make


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL; `postgres.database()` makes an empty database and gives its URL."""
    with Postgres() as cluster:
        yield cluster
