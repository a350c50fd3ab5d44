"""A real server on a real socket, in a thread of its own, over an honest daemon."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from reconciler.api.ask import Backend
from reconciler.api.listen import Listener, close_all
from reconciler.api.server import Api, metrics_api
from reconciler.api.streams import Streams
from reconciler.runtime.control import Control
from tests.api.builders import WALL
from tests.api.honest import HonestControl

T = TypeVar("T")

_control: type[Control] = HonestControl  # the type check holds the fake to the protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> int:
        return int(self.headers["weaver-exit-code"])

    def json(self) -> Any:
        return json.loads(self.body)

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float = 10) -> None:
        super().__init__("weaver", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass(slots=True)
class Served:
    """A running server, as a client sees it."""

    path: str
    control: HonestControl
    loop: asyncio.AbstractEventLoop
    streams: Streams

    def ask(
        self,
        target: str,
        *,
        method: str = "GET",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        connection = UnixConnection(self.path)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, target, sent, dict(headers or {}))
            return read(connection.getresponse())
        finally:
            connection.close()

    def tell(self, target: str, body: Any) -> Reply:
        return self.ask(target, method="POST", body=body)

    def open(self) -> socket.socket:
        """Connect and say nothing."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(self.path)
        connection.settimeout(10)
        return connection

    def run(self, do: Callable[[], T]) -> T:
        """Do something where the server runs, and give what it gives."""

        async def call() -> T:
            return do()

        return asyncio.run_coroutine_threadsafe(call(), self.loop).result(10)


def read(found: http.client.HTTPResponse) -> Reply:
    headers = {key.lower(): value for key, value in found.headers.items()}
    return Reply(status=found.status, headers=headers, body=found.read())


async def exposition() -> tuple[bytes, str]:
    text = 'service_up{service="db"} 1\nservice_up{service="api"} 1\n'
    return f"# TYPE service_up gauge\n{text}".encode(), "text/plain; version=0.0.4"


def backend_of(control: HonestControl, streams: Streams) -> Backend:
    return Backend(control=control, streams=streams, exposition=exposition, wall=lambda: WALL + 7)


@contextlib.contextmanager
def serving(
    folder: Path, *, uids: Collection[int] | None = None, on_tcp: bool = False
) -> Iterator[Served]:
    """Serve until the block ends."""
    listening = _listen_tcp() if on_tcp else _listen_unix(folder / "weaver.sock")
    ready = threading.Event()
    found: list[Served] = []
    stop: list[Callable[[], object]] = []

    async def main() -> None:
        streams = Streams()
        control = HonestControl()
        backend = backend_of(control, streams)
        app = metrics_api(backend) if on_tcp else Api(backend, _allowed(uids))
        listener = Listener(app, listening)
        loop = asyncio.get_running_loop()
        done = asyncio.Event()
        found.append(Served(_name(listening), control, loop, streams))
        stop.append(lambda: loop.call_soon_threadsafe(done.set))
        serving = asyncio.create_task(listener.serve())
        ready.set()
        await done.wait()
        control.gate.set()
        await close_all([listener], streams)
        await serving

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        stop[0]()
        thread.join(20)
        assert not thread.is_alive(), "the server does not stop"


def _allowed(uids: Collection[int] | None) -> Collection[int]:
    return {0, os.geteuid()} if uids is None else uids


def _name(listening: socket.socket) -> str:
    name = listening.getsockname()
    return name if isinstance(name, str) else f"{name[0]}:{name[1]}"


def _listen_unix(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.bind(str(path))
    listening.listen(128)
    listening.setblocking(False)
    return listening


def _listen_tcp() -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    return listening
