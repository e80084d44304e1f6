"""A thousand sessions that only watch, in a process of its own: what they cost is neither the server's nor the sender's.

`python audience.py PORT COUNT` logs in c0 … at localhost; then for each line of standard input, a text, it answers with the instant
(seconds, monotonic clock) at which the last of them had received that text.
"""

import base64
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

PASSWORD = "pw"  # noqa: S105 # as the rig's servers know it
OPEN = "<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
LIMIT = 60.0


class Audience:
    """The process, seen from the bench."""

    def __init__(self, port: int, count: int) -> None:
        command = [sys.executable, str(Path(__file__)), str(port), str(count)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> Self:
        self._read()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def expect(self, text: str) -> None:
        """From now on wait for this text; what came before does not count."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{text}\n")
        assert self._read() == "ready"

    def instant(self) -> float:
        """When the last one had it."""
        return float(self._read())

    def _read(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the audience ended with {self._process.wait()}")
        return line.strip()


def main() -> None:
    port, count = int(sys.argv[1]), int(sys.argv[2])
    sessions = [log_in(port, f"c{number}") for number in range(count)]
    with selectors.DefaultSelector() as selector:
        for session in sessions:
            session.setblocking(False)
            selector.register(session, selectors.EVENT_READ)
        drain(selector)
        print("here", flush=True)
        for line in sys.stdin:
            wait_for(selector, line.strip().encode(), len(sessions))


def log_in(port: int, user: str) -> socket.socket:
    session = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
    secret = base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()
    ask(session, OPEN, b"</stream:features>")
    ask(session, f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>", b"<success")
    ask(session, OPEN, b"</stream:features>")
    ask(session, "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>w</resource></bind></iq>", b"</iq>")
    ask(session, "<presence/><iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", b"id='p'")
    return session


def ask(session: socket.socket, words: str, answer: bytes) -> None:
    session.sendall(words.encode())
    received = b""
    while answer not in received and answer.replace(b"'", b'"') not in received:
        more = session.recv(65536)
        if not more:
            raise ConnectionError(f"closed after {words}: {received[-300:]!r}")
        received += more


def drain(selector: selectors.BaseSelector) -> None:
    """Read what is left of the logging in, until it is quiet for half a second."""
    while ready := selector.select(0.5):
        for key, _ in ready:
            key.fileobj.recv(65536)  # type: ignore[union-attr] # they are sockets


def wait_for(selector: selectors.BaseSelector, text: bytes, count: int) -> None:
    while ready := selector.select(0):
        for key, _ in ready:
            key.fileobj.recv(65536)  # type: ignore[union-attr]
    print("ready", flush=True)
    missing, tails, end = count, dict[int, bytes](), time.monotonic() + LIMIT
    while missing:
        ready = selector.select(1)
        if time.monotonic() > end:
            sys.exit(f"{missing} of {count} did not get {text!r} within {LIMIT} s")
        for key, _ in ready:
            before = tails.get(key.fd, b"")
            data = before + key.fileobj.recv(65536)  # type: ignore[union-attr]
            if text not in before:
                missing -= text in data
            tails[key.fd] = data[-4096:] if text not in data else text
    print(time.monotonic(), flush=True)


if __name__ == "__main__":
    main()
