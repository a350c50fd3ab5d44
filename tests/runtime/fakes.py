"""Honest stand-ins for the world: they keep state, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from reconciler.model.desired import Definition, ManifestSet, Revision
from reconciler.model.diagnostic import Source
from reconciler.model.event import (
    Decision,
    Event,
    Exited,
    HostLooked,
    HostLost,
    LookAtHost,
    Probe,
    ProbeAnswered,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.observed import Exit, Look, Process, ProcessId, Slot
from reconciler.model.record import Memory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, milliseconds
from reconciler.ports import (
    EventRecord,
    SourceHeldError,
    StoreError,
    TransitionRecord,
)

BOOT = "boot-1"


class FakeClock:
    """The loop's own clock, as nanoseconds."""

    def now(self) -> Nanos:
        return Nanos(round(asyncio.get_running_loop().time() * 1e9))

    def wall(self) -> float:
        return 1_700_000_000.0 + self.now() / 1e9

    def boot(self) -> str:
        return BOOT


class FakeHost:
    """Processes that exist only as nouns."""

    def __init__(self) -> None:
        self.processes: dict[Slot, Process] = {}
        self.performed: list[Spawn | Signal | LookAtHost] = []
        self.acknowledged = 0
        self.unacknowledged: list[Slot] = []
        self.closed: bool | None = None
        self.refuse: str = ""
        """Why the next starts fail."""
        self.ignores_sigterm = False
        self.hangs = False
        self._tell: Callable[[Event], None] = lambda _: None
        self._pids = itertools.count(1000)

    async def open(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell

    async def perform(self, command: Spawn | Signal | LookAtHost) -> Event:
        self.performed.append(command)
        if self.hangs:
            await asyncio.Event().wait()
        match command:
            case Spawn():
                return self.spawn(command)
            case Signal():
                if command.signal == "SIGKILL" or not self.ignores_sigterm:
                    self.kill(command.slot, Exit(at=self.now(), signal=command.signal))
                return SignalAnswered(serial=command.serial, slot=command.slot)
            case LookAtHost():
                processes = tuple(self.processes.values())
                return HostLooked(look=Look(serial=command.serial, boot=BOOT, processes=processes))

    def spawn(self, command: Spawn) -> Spawned | SpawnFailed:
        if self.refuse:
            return SpawnFailed(
                serial=command.serial, slot=command.slot, step="exec", errno=2, because=self.refuse
            )
        pid = next(self._pids)
        process = Process(
            slot=command.slot,
            id=ProcessId(boot=BOOT, pid=pid, born=pid),
            run=RunId(f"run-{pid}"),
            digest=command.spec.digest,
            started=self.now(),
        )
        self.processes[command.slot] = process
        return Spawned(serial=command.serial, process=process)

    def now(self) -> Nanos:
        return FakeClock().now()

    def kill(self, slot: Slot, end: Exit) -> None:
        """Let a process end, as if by itself."""
        process = self.processes.pop(slot, None)
        if process is not None:
            self.unacknowledged.append(slot)
            self._tell(Exited(slot=slot, run=process.run, exit=end))
            self._tell(TreeEmptied(slot=slot, run=process.run))

    def lose(self) -> None:
        """Let the holder die."""
        self._tell(HostLost(because="the holder is gone"))

    async def acknowledge(self) -> None:
        self.acknowledged += 1
        self.unacknowledged.clear()

    async def close(self, *, stop_holder: bool) -> None:
        self.closed = stop_holder

    @property
    def holder_pid(self) -> int | None:
        return 2


class FakeProber:
    """Finds everything ready, or nothing."""

    def __init__(self) -> None:
        self.detail = ""

    async def probe(self, command: Probe) -> ProbeAnswered:
        return ProbeAnswered(
            serial=command.serial,
            slot=command.slot,
            run=command.run,
            passed=not self.detail,
            detail=self.detail,
        )


@dataclass
class FakeStore:
    """Keeps what it is given, in lists."""

    written: list[EventRecord] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    answers: list[tuple[int, str]] = field(default_factory=list)
    trouble: str = ""
    hangs: asyncio.Event | None = None
    _queued: list[EventRecord] = field(default_factory=list)

    async def load(self, boot: str) -> Memory:
        return Memory(boot=boot)

    async def record(self, decision: Decision, *, revision: str, actor: str) -> list[EventRecord]:
        if self.hangs is not None:
            await self.hangs.wait()
        self.decisions.append(decision)
        self._queued += [
            EventRecord(
                seq=0,
                time=0.0,
                kind=happening.kind,
                service=happening.service or "",
                instance=str(happening.slot or ""),
                reason=happening.reason,
                revision=revision,
                actor=actor,
            )
            for happening in decision.happenings
        ]
        if self.trouble:
            raise StoreError(self.trouble)
        numbered = [
            replace(event, seq=len(self.written) + place)
            for place, event in enumerate(self._queued, 1)
        ]
        self.written += numbered
        self._queued.clear()
        return numbered

    async def answered(self, serials: Sequence[tuple[int, str]]) -> None:
        self.answers += serials

    async def events(
        self, *, after: int = 0, service: str = "", limit: int = 1000, since: float | None = None
    ) -> list[EventRecord]:
        del since
        found = [e for e in self.written if e.seq > after and service in ("", e.service)]
        return found[-limit:]

    async def history(self, service: str, limit: int) -> list[TransitionRecord]:
        del service, limit
        return []

    async def close(self) -> None:
        pass


class FakeManifests:
    """Manifests that a test sets."""

    def __init__(self, *specs: ServiceSpec) -> None:
        self.held = ""
        self.defect: Exception | None = None
        self.reads = 0
        self._changed = asyncio.Event()
        self._set = manifests(*specs)

    def save(self, *specs: ServiceSpec) -> None:
        self._set = manifests(*specs)
        self._changed.set()

    def touch(self) -> None:
        self._changed.set()

    async def read(self) -> ManifestSet:
        self.reads += 1
        if self.defect is not None:
            raise self.defect
        if self.held:
            raise SourceHeldError(self.held)
        return self._set

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield


def manifests(*specs: ServiceSpec) -> ManifestSet:
    return ManifestSet(
        revision=Revision(commit="c" * 40, branch="main"),
        definitions={
            spec.name: Definition(
                spec=spec, source=Source(file=f"services.d/{spec.name}.yaml", line=1)
            )
            for spec in specs
        },
        files=tuple(f"services.d/{spec.name}.yaml" for spec in specs),
    )


def service(name: str, digest: str = "d1") -> ServiceSpec:
    return ServiceSpec(
        name=ServiceName(name),
        digest=Digest(digest),
        command=("sleep", "600"),
        stop_timeout=milliseconds(200),
    )


def slot(name: str, index: int = 0) -> Slot:
    return Slot(service=ServiceName(name), index=index)
