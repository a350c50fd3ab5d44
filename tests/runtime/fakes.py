"""Honest stand-ins for the world: they keep state, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from reconciler.manifest.intent import (
    Intent,
    PutService,
    RemoveField,
    RemoveService,
    SetField,
)
from reconciler.model.desired import Definition, ManifestSet, Revision
from reconciler.model.diagnostic import Diagnostic, Source
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
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.log import LogLine, LogQuery, LogSource, LogUpkeep
from reconciler.model.observed import Exit, Look, Process, ProcessId, Slot
from reconciler.model.put_right import PutRight
from reconciler.model.record import Memory
from reconciler.model.spec import DesiredState, Need, Readiness, ServiceSpec
from reconciler.model.units import Digest, Nanos, RunId, ServiceName, milliseconds
from reconciler.ports import (
    Author,
    CommitRequest,
    Committed,
    Draft,
    EventRecord,
    HostError,
    LogEntry,
    ManifestError,
    NotFoundError,
    SourceHeldError,
    StoreError,
    TransitionRecord,
    Usage,
)

BOOT = "boot-1"
BEGINNING = 1_700_000_000.0
"""The wall clock when the loop's own stood at 0."""


class FakeClock:
    """The loop's own clock, as nanoseconds."""

    def now(self) -> Nanos:
        return Nanos(round(asyncio.get_running_loop().time() * 1e9))

    def wall(self) -> float:
        return BEGINNING + self.now() / 1e9

    def boot(self) -> str:
        return BOOT


class FakeHost:
    """Processes that exist only as nouns."""

    def __init__(self) -> None:
        self.processes: dict[Slot, Process] = {}
        self.performed: list[Spawn | Signal | PutRight | LookAtHost | CloseSockets] = []
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

    async def perform(
        self, command: Spawn | Signal | PutRight | LookAtHost | CloseSockets
    ) -> Event:
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
            case CloseSockets():
                return SocketsClosed(serial=command.serial, service=command.service)
            case PutRight():
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

    def acknowledge(self) -> None:
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
    passes: int = 0
    """Rounds of the loop that it takes to write anything."""
    changes: dict[str, str] = field(default_factory=dict)
    """Those that are kept until they are in the branch."""
    _queued: list[EventRecord] = field(default_factory=list)

    async def load(self, boot: str) -> Memory:
        return Memory(boot=boot)

    async def record(self, decision: Decision, *, revision: str, actor: str) -> list[EventRecord]:
        if self.hangs is not None:
            await self.hangs.wait()
        for _ in range(self.passes):
            await asyncio.sleep(0)
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
                actor=happening.actor or actor,
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

    async def keep(self, change: str, text: str) -> None:
        if self.trouble:
            raise StoreError(self.trouble)
        self.changes[change] = text

    async def let_go(self, changes: Sequence[str]) -> None:
        for change in changes:
            self.changes.pop(change, None)

    async def kept(self) -> Sequence[tuple[str, str]]:
        return list(self.changes.items())

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

    behind = ""

    def __init__(self, *specs: ServiceSpec) -> None:
        self.held = ""
        self.defect: Exception | None = None
        self.reads = 0
        self._changed = asyncio.Event()
        self._commits = 0
        self._set = manifests(*specs)

    @property
    def specs(self) -> dict[ServiceName, ServiceSpec]:
        return {name: found.spec for name, found in self._set.definitions.items()}

    @property
    def commit(self) -> str:
        return self._set.revision.commit

    def save(self, *specs: ServiceSpec, is_told: bool = True) -> None:
        self._commits += 1
        self._set = manifests(*specs, commit=f"{self._commits:040x}")
        if is_told:
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

    async def has_moved(self, since: Revision) -> bool:
        return self._set.revision != since

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield


def manifests(*specs: ServiceSpec, commit: str = "c" * 40) -> ManifestSet:
    """Give a set of these; one whose digest is `bad` is invalid."""
    places = {spec.name: Source(file=f"services.d/{spec.name}.yaml") for spec in specs}
    invalid = {
        spec.name: (Diagnostic(source=places[spec.name], code="W1", message="it is bad"),)
        for spec in specs
        if spec.digest == "bad"
    }
    return ManifestSet(
        revision=Revision(commit=commit, branch="main"),
        definitions={
            spec.name: Definition(spec=spec, source=places[spec.name])
            for spec in specs
            if spec.name not in invalid
        },
        invalid=invalid,
        diagnostics=tuple(fault for faults in invalid.values() for fault in faults),
        files=tuple(source.file for source in places.values()),
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


def apply(
    specs: Mapping[ServiceName, ServiceSpec], intents: Iterable[Intent]
) -> dict[ServiceName, ServiceSpec]:
    """Replay intents; a manifest's text is `name digest need...` here."""
    found = dict(specs)
    for intent in intents:
        name = intent.service
        match intent:
            case SetField(path=("state",), value=value):
                found[name] = replace(found[name], state=DesiredState(value))
            case SetField(path=path, value=value):
                digest = Digest(f"{found[name].digest}+{'.'.join(path)}={value}")
                found[name] = replace(found[name], digest=digest)
            case RemoveField():
                raise ManifestError("no such key")
            case PutService(text=text):
                found[name] = spec_of(text)
            case RemoveService():
                del found[name]
    return found


PROTECTION = {"protected": True, "unprotected": False}


def spec_of(text: str) -> ServiceSpec:
    name, digest, *words = text.split()
    needs = [word for word in words if word not in PROTECTION]
    return replace(
        service(name, digest),
        ready=Readiness(delay=milliseconds(1)),
        needs=tuple(Need(service=ServiceName(need)) for need in needs),
        protect=next((PROTECTION[word] for word in words if word in PROTECTION), None),
    )


class FakeRepository:
    """A repository whose commits are what the fake manifests say."""

    def __init__(self, manifests: FakeManifests) -> None:
        self.manifests = manifests
        self.requests: list[CommitRequest] = []
        self.unreachable = ""
        self._past: list[tuple[ServiceSpec, ...]] = []

    async def close(self) -> None:
        """Let go of nothing."""

    async def commit(self, request: CommitRequest) -> Committed:
        before = self.manifests.specs
        after = apply(before, request.intents)
        self.requests.append(request)
        if after == before:
            return Committed(commit=self.manifests.commit, changed=False)
        self._past.append(tuple(before.values()))
        self.manifests.save(*after.values())
        files = tuple(f"services.d/{name}.yaml" for name in request.services)
        return Committed(commit=self.manifests.commit, changed=True, files=files)

    async def undo(self, author: Author, op_id: str, *, auto_commit: bool = True) -> Committed:
        del author, op_id, auto_commit
        before = self.manifests.specs
        self.manifests.save(*self._past.pop())
        changed = [name for name, spec in self.manifests.specs.items() if before.get(name) != spec]
        files = tuple(f"services.d/{name}.yaml" for name in changed)
        return Committed(commit=self.manifests.commit, changed=True, files=files)

    async def landed(self, op_id: str, since: str) -> str:
        del since
        if self.unreachable:
            raise HostError(self.unreachable)
        ids = {one for request in self.requests for one in request.op_id.split(", ")}
        return self.manifests.commit if op_id in ids else ""

    async def revision(self) -> Revision:
        return Revision(commit=self.manifests.commit, branch="main")

    async def blobs(self, revision: str) -> Mapping[str, bytes]:
        raise NotFoundError(f"no revision {revision}")

    async def log(self, path: str, limit: int) -> Sequence[LogEntry]:
        return [LogEntry(commit=self.manifests.commit, author="a", at=0.0, subject=path)][:limit]


class FakeDrafts:
    """Replays intents on the fake manifests; a digest `bad` is a fault."""

    def __init__(self, manifests: FakeManifests) -> None:
        self._manifests = manifests

    async def draft(self, intents: Sequence[Intent]) -> Draft:
        before = self._manifests.specs
        after = apply(before, intents)
        changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
        files = {f"services.d/{name}.yaml": ("before", "after") for name in changed}
        return Draft(manifests=manifests(*after.values()), files=files)

    async def documents(self, text: str, path: str) -> Sequence[tuple[ServiceName, str]]:
        del path
        return [(ServiceName(line.split()[0]), line) for line in text.splitlines() if line]

    async def document(self, path: str, service: ServiceName) -> str:
        return f"{path}: {service}"


class FakeLogs:
    """Every log has the same lines."""

    def __init__(self) -> None:
        self.marked: list[LogSource] = []

    async def read(
        self, query: LogQuery, sources: Callable[[], Sequence[LogSource]]
    ) -> AsyncIterator[LogLine]:
        for source in sources():
            for number in range(min(3, query.lines or 3)):
                yield LogLine(
                    service=source.service,
                    instance=source.instance,
                    stream="both",
                    message=f"line {number} of {source.path}",
                    raw=f"line {number} of {source.path}",
                )

    def mark_start(self, source: LogSource) -> None:
        self.marked.append(source)

    def look(self, sources: Sequence[LogSource]) -> None:
        pass

    def keep(self) -> LogUpkeep:
        return LogUpkeep(pause_s=3600.0)

    def position(self, source: LogSource) -> int:
        return len(source.path)

    def written(self, source: LogSource, offset: int, limit: int) -> tuple[bytes, int]:
        return source.path[offset:limit].encode(), offset

    def close(self) -> None:
        pass


class FakeSampler:
    """Everything uses the same."""

    def sample(self, targets: Mapping[str, ProcessId]) -> Mapping[str, Usage]:
        usage = Usage(cpu_percent=1.0, rss=2, pss=None, swap=None, file_descriptors=3)
        return dict.fromkeys(targets, usage)

    async def fresh(
        self, targets: Mapping[str, ProcessId], *, within_s: float = 0.05
    ) -> Mapping[str, Usage]:
        del within_s
        return self.sample(targets)
