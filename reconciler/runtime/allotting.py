"""Pick a port for each service that leaves that to us, and write it into its manifest.

It is picked once: from then on it stands in the manifest like one that a person wrote, and is
committed as a person's change would be.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress

from reconciler.core.launch import expand
from reconciler.model.desired import ManifestSet
from reconciler.model.observed import Slot
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName
from reconciler.ports import Author, HostError, WeaverError
from reconciler.runtime.messages import Message
from reconciler.runtime.requests import Assignment, Change, SetValues, Terms
from reconciler.runtime.restraint import SOURCE, Restraint

log = logging.getLogger(__name__)

PORTS = range(20_000, 32_768)
"""Below those that Linux gives to clients, so that none of them takes one between two starts."""
AGAIN_S = 10.0
"""After a port could not be written."""

MakeChange = Callable[[Change, Terms], AsyncIterator[Message]]


class Allotting:
    """Waits for services without a port, and gives them one."""

    def __init__(
        self,
        manifests: Callable[[], ManifestSet | None],
        change: MakeChange,
        is_free: Callable[[int], bool],
        restraint: Restraint,
        current: Callable[[ServiceName], int],
    ) -> None:
        """Begin. `current` gives the port of the version that a service runs, 0: it has none."""
        self._manifests = manifests
        self._change = change
        self._is_free = is_free
        self._restraint = restraint
        self._current = current
        self._something_came = asyncio.Event()
        self.problem = ""
        """Why a port could not be written; empty while none waits for that."""

    def look(self) -> None:
        """Look again: the manifests were read."""
        self._something_came.set()

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if self.problem else None):
                    await self._something_came.wait()
            self._something_came.clear()
            await self.once()

    async def once(self) -> None:
        """Give a port to each service that waits for one now."""
        found = self._manifests()
        specs = [] if found is None else [one.spec for one in found.definitions.values()]
        waiting = [spec for spec in specs if spec.awaits_port and spec.wants_to_run]
        taken = {port for spec in specs for port in ports_of(spec)}
        picked: list[tuple[ServiceName, int]] = []
        for spec in waiting:
            picked.append((spec.name, await asyncio.to_thread(self._pick, spec.name, taken)))
            taken.add(picked[-1][1])
        # Side by side, so that all of them share a commit.
        told = await asyncio.gather(*(self._try(name, port) for name, port in picked))
        self.problem = "; ".join(filter(None, told))

    async def _try(self, name: ServiceName, port: int) -> str:
        """Write a port; give why that cannot be."""
        try:
            await self._write(name, port)
        except WeaverError as why:
            problem = f"cannot write a port for {name}: {why}"
            if problem not in self.problem:
                log.warning("%s", problem)
            return problem
        return ""

    def _pick(self, name: ServiceName, taken: set[int]) -> int:
        """Give a port that nobody has or is to have; 0 where there is none.

        A service that goes back to `auto` keeps the one it has: its clients know that.
        """
        if (own := self._current(name)) and own not in taken:
            return own
        free = (port for port in candidates(name) if port not in taken and self._is_free(port))
        return next(free, 0)

    async def _write(self, name: ServiceName, port: int) -> None:
        if not port:
            raise HostError(f"none from {PORTS[0]} to {PORTS[-1]} is free")
        await self._restraint.refuse_loop(name)
        request = SetValues(service=name, assignments=(Assignment(path="port", value=str(port)),))
        author = Author(name="Weaver", email="weaver@localhost", uid=os.getuid())
        reason = "`port: auto` leaves it to the daemon to pick one"
        terms = Terms(author=author, reason=reason, source=SOURCE, wait=False)
        async for _ in self._change(request, terms):
            pass
        log.info("%s has port %s from now on", name, port)


def candidates(name: ServiceName) -> Iterator[int]:
    """Yield all ports that may be picked, beginning at one that goes with the name."""
    first = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    for step in range(len(PORTS)):
        yield PORTS[(first + step) % len(PORTS)]


def ports_of(spec: ServiceSpec) -> Iterable[int]:
    """Give the ports that a manifest names as its service's."""
    if spec.port:
        yield spec.port
    if spec.ready is not None and spec.ready.tcp is not None:
        for index in range(spec.instances):
            port = expand(str(spec.ready.tcp.port), Slot(service=spec.name, index=index), spec.port)
            if port.isdecimal():
                yield int(port)
    for one in spec.sockets:
        if one.listen.startswith("tcp:"):
            yield int(one.listen.rpartition(":")[2])
