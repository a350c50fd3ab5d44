"""A daemon with a facade, in a world of fakes, for tests of what people ask of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from reconciler.adapters.timetable import WallTimetable
from reconciler.core.diff import Language
from reconciler.core.engine import Engine
from reconciler.core.launch import Surroundings, launch
from reconciler.model.change import Effect, Verb
from reconciler.model.observed import State
from reconciler.model.record import Memory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName
from reconciler.ports import Author
from reconciler.runtime.checked import Charts
from reconciler.runtime.control import Finding, Grade, Setting
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.landing import Tools
from reconciler.runtime.live import LiveControl, Parts
from reconciler.runtime.logbook import Logbook
from reconciler.runtime.messages import (
    ActionSeen,
    Message,
    Phase,
    Problem,
    Summary,
)
from reconciler.runtime.paths import StatePaths
from reconciler.runtime.requests import (
    Change,
    OperationRequest,
    Settle,
    Terms,
)
from reconciler.runtime.world import World
from tests.runtime import fakes
from tests.runtime.fakes import slot, spec_of

WEB, DB, API = ServiceName("web"), ServiceName("db"), ServiceName("api")
CHAIN = ("db d1", "api d1 db", "web d1 api")
"""web needs api, which needs db."""
TERMS = Terms(author=Author(name="Ada", email="ada@example.org", uid=1000), timeout=5.0)


def describe(spec: ServiceSpec) -> dict[str, str]:
    return {"digest": spec.digest, "state": spec.state}


@dataclass
class Desk:
    """A daemon with a facade."""

    control: LiveControl
    daemon: Daemon
    host: fakes.FakeHost
    manifests: fakes.FakeManifests
    repository: fakes.FakeRepository
    store: fakes.FakeStore
    prober: fakes.FakeProber

    async def change(
        self,
        request: Change,
        *,
        reason: str = "",
        dry_run: bool = False,
        wait: bool = True,
        limit_s: float = 5.0,
    ) -> list[Message]:
        terms = dataclasses.replace(
            TERMS, reason=reason, dry_run=dry_run, wait=wait, timeout=limit_s
        )
        return [message async for message in self.control.change(request, terms)]

    async def operate(self, request: OperationRequest) -> list[Message]:
        return [message async for message in self.control.operate(request, TERMS)]

    async def settled(self) -> None:
        assert code(await self.operate(Settle())) == 0

    def pid(self, name: ServiceName) -> int | None:
        process = self.host.processes.get(slot(name))
        return process.id.pid if process else None

    def state(self, name: ServiceName) -> State:
        return self.daemon.picture().services[name].state


def code(messages: list[Message]) -> int:
    summary = messages[-1]
    assert isinstance(summary, Summary)
    return summary.exit_code


def problems(messages: list[Message]) -> list[str]:
    return [message.title for message in messages if isinstance(message, Problem)]


def kinds(messages: list[Message]) -> list[str]:
    found: list[str] = []
    for message in messages:
        name = type(message).__name__
        if not found or found[-1] != name:
            found.append(name)
    return found


def actions(messages: list[Message]) -> list[tuple[str, Verb, Phase]]:
    return [(m.service, m.action, m.phase) for m in messages if isinstance(m, ActionSeen)]


def with_daemon(*texts: str, tmp_path: Path, story: Callable[[Desk], Awaitable[None]]) -> None:
    async def tell() -> None:
        desk, daemon = make_desk(texts, StatePaths.of(tmp_path))
        running = asyncio.create_task(daemon.run())
        await desk.control.resuming.run()
        try:
            await story(desk)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(tell())


def make_desk(texts: tuple[str, ...], paths: StatePaths) -> tuple[Desk, Daemon]:
    clock, host, store = fakes.FakeClock(), fakes.FakeHost(), fakes.FakeStore()
    manifests, prober = fakes.FakeManifests(*map(spec_of, texts)), fakes.FakeProber()
    repository = fakes.FakeRepository(manifests)
    logbook = Logbook(fakes.FakeLogs(), paths)
    world = World(
        clock=clock,
        host=host,
        prober=prober,
        store=store,
        manifests=manifests,
        timetable=WallTimetable(clock),
        before_start=logbook.mark_start,
    )
    daemon = Daemon(Engine(Memory(boot=fakes.BOOT)), world)

    async def tail(name: ServiceName) -> tuple[str, ...]:
        return await logbook.tail(name, daemon)

    async def renew_holder() -> str:
        return ""

    around = Surroundings(root=str(paths.root), log_dir=str(paths.logs), base_env={"PATH": "/bin"})
    control = LiveControl(
        daemon,
        Parts(
            paths=paths,
            clock=clock,
            store=store,
            logbook=logbook,
            sampler=fakes.FakeSampler(),
            tools=Tools(
                repository=repository,
                drafts=fakes.FakeDrafts(manifests),
                language=Language(describe=describe, effect_of=lambda _: Effect.RESTART),
                tail=tail,
                auto_commit=lambda: True,
                pending=store,
            ),
            prepare=lambda spec, where, run: launch(spec, where, run, around),
            holder_pid=lambda: 2,
            renew_holder=renew_holder,
            settings=lambda: [Setting(path="git.autoCommit", value="true", is_default=True)],
            troubles=lambda: ["the watch is blind", ""],
            examine=lambda: [Finding(check="disk", grade=Grade.OK, text="fine")],
            metrics_listen=lambda: "",
            ways=dict,
            charts=Charts,
        ),
    )
    desk = Desk(
        control=control,
        daemon=daemon,
        host=host,
        manifests=manifests,
        repository=repository,
        store=store,
        prober=prober,
    )
    return desk, daemon
