"""Find the addresses of a host's name without keeping anybody waiting.

What resolves names blocks, for as long as a dead name server lets it. So each name is asked for in
a thread of its own, once at a time for all who want it, and never in the threads that others need.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from reconciler.adapters.checks.place import ProbeError
from reconciler.model.health import CheckFault

NAMES_AT_ONCE = 32
"""Names that are asked for at the same time; more than that have to wait their turn."""
_LOCAL = ("127.0.0.1", "::1")

Addresses = tuple[str, ...]


class Names:
    """The names that are being asked for."""

    def __init__(self, ask: Callable[[str], Addresses] | None = None) -> None:
        self._ask = ask or _ask
        self._asked: dict[str, asyncio.Task[Addresses]] = {}
        self._turns = asyncio.Semaphore(NAMES_AT_ONCE)

    async def addresses(self, host: str) -> Addresses:
        """Give the addresses of a host, at least one; those who ask meanwhile share the answer."""
        if host.lower() == "localhost":
            return _LOCAL
        if is_address(host):
            return (host,)
        task = self._asked.get(host)
        if task is None:
            task = self._asked[host] = asyncio.create_task(self._answer(host))
            task.add_done_callback(lambda _: self._asked.pop(host, None))
        # Whoever gives up leaves the question to the others.
        return await asyncio.shield(task)

    def close(self) -> None:
        """Wait for no answer any more."""
        for task in self._asked.values():
            task.cancel()

    async def _answer(self, host: str) -> Addresses:
        async with self._turns:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[Addresses] = loop.create_future()
            try:
                threading.Thread(
                    target=self._look_up, args=(host, loop, answer), name="name", daemon=True
                ).start()
            except RuntimeError as why:
                raise BlockingIOError(errno.EAGAIN, "no thread to be had") from why
            found = await answer
        if not found:
            raise ProbeError(f"name not resolved by {host}", CheckFault.NAME)
        return found

    def _look_up(
        self, host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Addresses]
    ) -> None:
        found = self._ask(host)
        # The loop may be closed before the name server answers.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_give, answer, found)


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Tell whether a host is an address already.

    >>> is_address("127.0.0.1"), is_address("::1"), is_address("db.local")
    (True, True, False)
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _ask(host: str) -> Addresses:
    """Ask the system; nothing where it knows nothing."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


def _give(answer: asyncio.Future[Addresses], found: Addresses) -> None:
    if not answer.done():
        answer.set_result(found)
