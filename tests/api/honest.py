"""A small daemon made of plain state: it answers as the real one does, and can misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from reconciler.core.launch import Account, Identity
from reconciler.core.pointers import Pointers
from reconciler.model.change import Effect, FieldChange, ServiceChange, Verb
from reconciler.model.log import LogLine, LogQuery
from reconciler.model.observed import State
from reconciler.model.spec import Limit
from reconciler.model.status import Health
from reconciler.model.units import ServiceName
from reconciler.ports import EventRecord, LogEntry, NotFoundError, TransitionRecord
from reconciler.runtime.control import (
    Finding,
    Grade,
    History,
    Reason,
    Scene,
    Setting,
    Surroundings,
    WaitResult,
)
from reconciler.runtime.messages import (
    ActionSeen,
    CommitMade,
    Converged,
    Message,
    Note,
    Phase,
    Planned,
    Preview,
    Problem,
    Summary,
)
from reconciler.runtime.requests import (
    Change,
    EventQuery,
    Goal,
    OperationRequest,
    StopServices,
    Terms,
    WaitQuery,
)
from tests.api.builders import HERE, WALL, shop

_GOALS = {
    Goal.RUNNING: {State.RUNNING},
    Goal.READY: {State.RUNNING},
    Goal.HEALTHY: {State.RUNNING},
    Goal.COMPLETED: {State.STOPPED},
    Goal.STOPPED: {State.STOPPED},
}


def event(seq: int, kind: str, service: str = "", **rest: str) -> EventRecord:
    return EventRecord(
        seq=seq,
        time=WALL + seq,
        kind=kind,
        service=service,
        instance=f"{service}-0" if service else "",
        reason=rest.get("reason", ""),
        revision=rest.get("revision", ""),
        actor=rest.get("actor", ""),
    )


def some_events() -> list[EventRecord]:
    return [
        event(1, "service.registered", "db", reason="services.d/db.yaml"),
        event(2, "service.starting", "db", reason="its manifest says running"),
        event(3, "service.ready", "db", reason="127.0.0.1:5432 accepts connections"),
        event(4, "service.crashed", "mailer", reason="exited with 1"),
        event(5, "service.gave-up", "mailer", reason="10 restarts in a row"),
        event(6, "git.committed", reason="web: set env.PORT=8001", revision=HERE.commit),
        event(7, "service.stopped", "db", reason="asked", actor="uid:1000"),
    ]


def some_lines(service: str = "worker") -> list[LogLine]:
    return [
        LogLine(
            service=ServiceName(service),
            instance=f"{service}-{number % 2}",
            stream="stdout",
            message=f"job {number} done",
            raw=f"\x1b[32mjob {number}\x1b[0m done",
            timestamp=WALL + number,
            level="info",
        )
        for number in range(6)
    ]


def some_preview() -> Preview:
    change = ServiceChange(
        service=ServiceName("web"),
        verbs=(Verb.RESTART,),
        order=1,
        reason="env.PORT changed",
        fields=(FieldChange(path="env.PORT", before="8000", after="8001", effect=Effect.RESTART),),
    )
    return Preview(mode="live", base=HERE, head=HERE, changes=(change,), unchanged=41)


@dataclass(slots=True)
class HonestControl:
    """Implements `Control` over what it was given."""

    stage: Scene = field(default_factory=shop)
    stored: list[EventRecord] = field(default_factory=some_events)
    lines: list[LogLine] = field(default_factory=some_lines)
    fresh: asyncio.Queue[EventRecord] = field(default_factory=asyncio.Queue)
    told: list[tuple[object, Terms]] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    """Long verbs that are slow wait for it."""
    is_slow: bool = False
    breaks: bool = False
    prepared: Preview = field(default_factory=some_preview)

    async def scene(self) -> Scene:
        if self.breaks:
            raise RuntimeError("a bug")
        return self.stage

    async def preview(self) -> Preview:
        return self.prepared

    async def events(self, query: EventQuery) -> Sequence[EventRecord]:
        found = [
            record
            for record in self.stored
            if record.seq > query.after
            and query.service in ("", record.service)
            and (query.since is None or record.time >= query.since)
        ]
        return found[-query.limit :]

    async def follow(self, query: EventQuery) -> AsyncIterator[EventRecord]:
        for record in self.stored:
            if query.after and record.seq > query.after:
                yield record
        while True:
            yield await self.fresh.get()

    async def history(self, service: ServiceName, limit: int = 100) -> History:
        self._known(service)
        transition = TransitionRecord(
            time=WALL - 10,
            service=service,
            instance=f"{service}-0",
            before="starting",
            after="running",
            reason="ready",
            actor="",
            revision=HERE.commit,
            digest="d1",
        )
        commit = LogEntry(
            commit="3f2c91a" + "0" * 33,
            author="Ada Lovelace",
            at=WALL - 7200,
            subject=f"{service}: set env.PORT=8001",
            trailers={"Weaver-Op": "set"},
        )
        return History(service=service, transitions=[transition][:limit], commits=[commit][:limit])

    async def pointers(self, service: ServiceName) -> Pointers:
        self._known(service)
        return Pointers(attempted=HERE.commit, applied=HERE.commit, healthy="c0ffee1" + "0" * 33)

    async def why(self, service: ServiceName) -> Sequence[Reason]:
        self._known(service)
        return [
            Reason(service=service, state="starting", because="needs mailer to be ready"),
            Reason(
                service=ServiceName("mailer"),
                state="crashed",
                because="exited with 1",
                file="services.d/mailer.yaml:1:1",
                depth=1,
            ),
        ]

    async def logs(self, query: LogQuery) -> AsyncIterator[LogLine]:
        for name in query.services:
            self._known(name)
        found = [x for x in self.lines if not query.services or x.service in query.services]
        count = len(found) if query.lines is None else query.lines
        for line in found[-count:] if count else ():
            yield line
        if query.follow:
            await asyncio.Event().wait()

    async def wait(self, query: WaitQuery) -> WaitResult:
        missing = {}
        for name in query.services or tuple(self.stage.picture.services):
            self._known(name)
            found = self.stage.picture.services[name]
            if query.goal is Goal.SYNCED:
                arrived = found.health in {Health.HEALTHY, Health.STOPPED}
            else:
                arrived = found.state in _GOALS[query.goal]
            if not arrived:
                missing[name] = found.reason or found.state
        return WaitResult(exit_code=9 if missing else 0, missing=missing, seconds=query.timeout)

    async def settings(self) -> Sequence[Setting]:
        return [
            Setting(path="git.autoCommit", value="true", is_default=True),
            Setting(path="metrics.listen", value="127.0.0.1:9100", is_default=False),
        ]

    async def doctor(self) -> Sequence[Finding]:
        return [
            Finding(
                check="git identity", grade=Grade.WARNING, text="none is set", mend="git config"
            ),
            Finding(check="python", grade=Grade.OK, text="3.11"),
        ]

    async def manifest(self, service: ServiceName) -> str:
        self._known(service)
        return f"name: {service}\ncommand: python3 {service}.py\n"

    async def surroundings(self, service: ServiceName) -> Surroundings:
        self._known(service)
        return Surroundings(
            service=service,
            cwd="/srv/shop",
            env={"PATH": "/bin", "PORT": "1"},
            account=Account(uid=33, gid=33, groups=(33,)),
            identity=Identity(limits={"nofile": Limit(soft=1024, hard=-1)}),
        )

    async def change(self, request: Change, terms: Terms) -> AsyncIterator[Message]:
        self.told.append((request, terms))
        yield Planned(preview=self.prepared, dry_run=terms.dry_run)
        if terms.dry_run:
            yield Summary(exit_code=1, text="1 to restart")
            return
        if isinstance(request, StopServices) and "db" in request.services:
            yield Problem(
                title="cannot stop db: api needs it", mend="--with-dependents", exit_code=5
            )
            yield Summary(exit_code=5, text="nothing was changed")
            return
        yield CommitMade(commit=HERE.commit, changed=True, files=("services.d/web.yaml",))
        async for message in self._acted("web"):
            yield message

    async def operate(self, request: OperationRequest, terms: Terms) -> AsyncIterator[Message]:
        self.told.append((request, terms))
        async for message in self._acted("web"):
            yield message

    async def _acted(self, name: str) -> AsyncIterator[Message]:
        service = ServiceName(name)
        yield ActionSeen(service=service, action=Verb.RESTART, phase=Phase.START)
        if self.is_slow:
            await self.gate.wait()
        if self.breaks:
            raise RuntimeError("a bug")
        yield ActionSeen(service=service, action=Verb.RESTART, phase=Phase.DONE)
        yield Note(text="no git identity")
        yield Converged(revision=HERE, services=(service,), seconds=0.25)
        yield Summary(exit_code=0, text="web: restarted at 9be0177", undo="weaver undo")
        self.finished.append(name)

    def _known(self, service: ServiceName) -> None:
        if service not in self.stage.picture.services:
            raise NotFoundError(f"no service is named {service}", mend="weaver status")

    def say(self, text: str) -> None:
        """Change the scene: a trouble of the daemon's own."""
        self.stage = replace(self.stage, daemon=replace(self.stage.daemon, troubles=(text,)))
