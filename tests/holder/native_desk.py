"""A native host with all that it told, for tests of what the daemon asks of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from reconciler.adapters.native import NativeHost
from reconciler.core.launch import Launch, Surroundings, launch
from reconciler.holder import tree
from reconciler.model.event import (
    Errand,
    Event,
    HostLooked,
    HostLost,
    LookAtHost,
    Scope,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    TreeEmptied,
)
from reconciler.model.observed import Process, Slot
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Digest, RunId, Serial, ServiceName
from tests.holder.rig import PATH

Prepare = Callable[[ServiceSpec, Slot, RunId, Errand | None], Launch]


class Desk:
    """A native host with all that it told, and short forms of the commands."""

    def __init__(self, root: Path, prepare: Prepare | None = None) -> None:
        self.root = root
        self.state = root / ".weaver"
        self.events: list[Event] = []
        self.host = NativeHost(root, self.state, prepare or self.prepare)
        self._serial = 0
        self._news = asyncio.Event()

    def prepare(
        self, spec: ServiceSpec, slot: Slot, run: RunId, errand: Errand | None = None
    ) -> Launch:
        surroundings = Surroundings(
            root=str(self.root), log_dir=str(self.root / "logs"), base_env={"PATH": PATH}
        )
        return launch(spec, slot, run, surroundings, errand)

    async def open(self) -> None:
        await self.host.open(self._hear)

    async def acknowledge(self) -> None:
        self.host.acknowledge()
        await asyncio.sleep(0)  # it goes out after what was begun before

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def spawn(self, name: str, *words: str, spec: ServiceSpec | None = None) -> Event:
        slot = Slot(service=ServiceName(name), index=0)
        spec = spec or ServiceSpec(name=slot.service, digest=Digest("d1"))
        spec = replace(spec, command=words)
        return await self.host.perform(
            Spawn(serial=self._next(), slot=slot, spec=spec, because="test")
        )

    async def start(self, name: str, *words: str) -> Process:
        event = await self.spawn(name, *words)
        assert isinstance(event, Spawned), event
        return event.process

    async def signal(self, process: Process, name: str, scope: Scope = Scope.MAIN) -> str:
        command = Signal(
            serial=self._next(),
            slot=process.slot,
            run=process.run,
            target=process.id,
            signal=name,
            scope=scope,
            because="test",
        )
        event = await self.host.perform(command)
        assert isinstance(event, SignalAnswered)
        assert event.serial == command.serial
        return event.problem

    async def look(self) -> dict[RunId, Process]:
        event = await self.host.perform(LookAtHost(serial=self._next()))
        assert isinstance(event, HostLooked), event
        return {process.run: process for process in event.look.processes}

    async def heard(self, kind: type[Event], process: Process | None = None) -> Event:
        async with asyncio.timeout(10):
            while True:
                for event in self.events:
                    run = getattr(event, "run", None)
                    if isinstance(event, kind) and (process is None or run == process.run):
                        return event
                self._news.clear()
                await self._news.wait()

    async def kill_holder(self) -> None:
        assert self.host.holder_pid is not None
        os.kill(self.host.holder_pid, signal.SIGKILL)
        await self.heard(HostLost)

    async def end(self) -> None:
        """End everything, by whatever holder there is."""
        for process in (await self.look()).values():
            if process.is_live:
                await self.signal(process, "SIGKILL", Scope.TREE)
                await self.heard(TreeEmptied, process)
        pid = self.host.holder_pid
        await self.host.close(stop_holder=True)
        assert pid is not None
        assert not holds(pid)

    def _next(self) -> Serial:
        self._serial += 1
        return Serial(self._serial)


def holds(pid: int) -> bool:
    """Tell whether a pid is still a holder."""
    process = tree.find(pid)
    return process is not None and not process.is_dead


@asynccontextmanager
async def desk_of(root: Path, prepare: Prepare | None = None) -> AsyncIterator[Desk]:
    desk = Desk(root, prepare)
    await desk.open()
    try:
        yield desk
    finally:
        await desk.end()


def with_desk(test: Callable[[Desk], Awaitable[None]]) -> Callable[[Path], None]:
    """Run a test with a host of a fresh directory."""

    def run(tmp_path: Path) -> None:
        async def inside() -> None:
            async with desk_of(tmp_path) as desk:
                await test(desk)

        asyncio.run(inside())

    run.__name__ = getattr(test, "__name__", "test")
    return run
