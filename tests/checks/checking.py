"""Make one check of a real thing, and see what comes of it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from reconciler.adapters.checks import Checks, Network, Place
from reconciler.core.launch import expand
from reconciler.model.health import CheckResult, CheckType, HealthCheck, HttpCheck
from reconciler.model.observed import Slot
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, seconds
from reconciler.ports import Check

SLOT = Slot(service=ServiceName("web"), index=1)
Handler = Callable[[socket.socket], None]


def now() -> Nanos:
    return Nanos(time.clock_gettime_ns(time.CLOCK_BOOTTIME))


def place(root: Path = Path("/")) -> Place:
    env = {"PATH": os.defpath, "COLOR": "blue", "WEAVER_INSTANCE": "1"}
    return Place(cwd=str(root), env=env, root=str(root), expand=lambda text: expand(text, SLOT))


def question(health: HealthCheck, slot: Slot = SLOT) -> Check:
    spec = ServiceSpec(name=slot.service, digest=Digest("d"), health=health)
    return Check(slot=slot, run=RunId("r"), spec=spec, health=health)


def checks(root: Path = Path("/"), network: Network | None = None) -> Checks:
    return Checks(lambda *_: place(root), now, network)


async def asked(these: Checks, health: HealthCheck, slot: Slot = SLOT) -> CheckResult:
    answer: asyncio.Future[CheckResult] = asyncio.get_running_loop().create_future()
    these.begin(question(health, slot), answer.set_result)
    assert not answer.done(), "it is told later, never at once"
    return await answer


def ask(
    health: HealthCheck, root: Path = Path("/"), network: Callable[[], Network] | None = None
) -> CheckResult:
    async def exchange() -> CheckResult:
        these = checks(root, network() if network else None)
        try:
            return await asked(these, health)
        finally:
            await these.close()

    return asyncio.run(exchange())


def http(url: str, *, timeout_s: float = 5.0, **more: Any) -> HealthCheck:
    fields = {name: more.pop(name) for name in ("retries",) if name in more}
    check = HttpCheck(url=url, **more)
    return HealthCheck(type=CheckType.HTTP, http=check, timeout=seconds(timeout_s), **fields)


def hear(connection: socket.socket) -> bytes:
    """Read the head of a request."""
    heard = b""
    while b"\r\n\r\n" not in heard and (piece := connection.recv(65536)):
        heard += piece
    return heard


def answering(text: bytes) -> Handler:
    """Answer each request with the same bytes, and hang up."""

    def handler(connection: socket.socket) -> None:
        hear(connection)
        connection.sendall(text)

    return handler


@contextmanager
def serving(handler: Handler, listener: socket.socket | None = None) -> Iterator[int]:
    """Serve each connection in a thread of its own, until the block ends; give the port."""
    server = listener or socket.create_server(("127.0.0.1", 0))
    ends: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            handler(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                ends.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    name = server.getsockname()
    try:
        yield name[1] if isinstance(name, tuple) else 0
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def resident_bytes() -> int:
    """Give how much memory this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
