"""The loop between the real engine and a world of fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from reconciler.adapters.timetable import WallTimetable
from reconciler.core.engine import Engine
from reconciler.model.event import (
    Event,
    Exited,
    HostLost,
    LookAtHost,
    Operation,
    OperationKind,
    Spawn,
    SpawnFailed,
)
from reconciler.model.observed import Exit, State
from reconciler.model.record import Memory
from reconciler.model.spec import Backoff, Readiness, ServiceSpec
from reconciler.model.units import Nanos, Serial, milliseconds, seconds
from reconciler.runtime import daemon as daemon_module
from reconciler.runtime import journal, performer
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.performer import failed, overdue
from reconciler.runtime.world import World
from tests.runtime.fakes import (
    BOOT,
    FakeClock,
    FakeHost,
    FakeManifests,
    FakeProber,
    FakeStore,
    service,
    slot,
)
from tests.waiting import until_async


def quick(name: str, digest: str = "d1") -> ServiceSpec:
    """Give a service that is ready and restarted at once."""
    return replace(
        service(name, digest),
        ready=Readiness(delay=milliseconds(1)),
        backoff=Backoff(initial=milliseconds(5), jitter=Nanos(0)),
    )


@dataclass
class Scenery:
    """A daemon and its world."""

    host: FakeHost
    prober: FakeProber
    store: FakeStore
    manifests: FakeManifests
    daemon: Daemon

    def state(self, name: str) -> State | None:
        found = self.daemon.picture().services.get(service(name).name)
        return found.state if found else None

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await self.daemon.turn()

    async def running(self, *names: str) -> None:
        await self.until(lambda: all(self.state(name) is State.RUNNING for name in names))

    def starts(self, name: str) -> int:
        return sum(
            isinstance(command, Spawn) and command.slot == slot(name)
            for command in self.host.performed
        )

    def shut_down(self, kind: OperationKind = OperationKind.SHUTDOWN) -> None:
        self.daemon.ask(Operation(id="op", kind=kind))


Story = Callable[[Scenery], Awaitable[None]]


def supervise(*names: str, story: Story, prepare: Callable[[Scenery], None] | None = None) -> None:
    async def tell() -> None:
        specs = [quick(name) for name in names]
        host, prober, store, source = FakeHost(), FakeProber(), FakeStore(), FakeManifests(*specs)
        clock = FakeClock()
        world = World(
            clock=clock,
            host=host,
            prober=prober,
            store=store,
            manifests=source,
            timetable=WallTimetable(clock),
        )
        daemon = Daemon(Engine(Memory(boot=BOOT)), world)
        scenery = Scenery(host, prober, store, source, daemon)
        if prepare is not None:
            prepare(scenery)
        running = asyncio.create_task(daemon.run())
        try:
            await story(scenery)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running

    asyncio.run(tell())


def test_what_the_manifests_want_is_started() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web", "worker")

    supervise("web", "worker", story=story)


def test_a_start_is_written_down_before_it_is_done() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.daemon.turn()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                await scenery.running("web")
        assert scenery.starts("web") == 0
        assert scenery.store.hangs is not None
        scenery.store.hangs.set()
        await scenery.running("web")

    def prepare(scenery: Scenery) -> None:
        scenery.store.hangs = asyncio.Event()

    supervise("web", story=story, prepare=prepare)


def test_how_a_command_ended_is_written_down() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        assert [text for _, text in scenery.store.answers] == ["done"]
        scenery.host.refuse = "no such program"
        scenery.manifests.save(quick("api"), quick("web"))
        await scenery.until(lambda: "no such program" in dict(scenery.store.answers).values())

    supervise("web", story=story)


def test_a_crash_is_restarted() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        scenery.host.kill(slot("web"), Exit(at=Nanos(0), code=1))
        await scenery.until(lambda: scenery.starts("web") == 2)
        await scenery.running("web")

    supervise("web", story=story)


def test_an_exit_is_acknowledged_once_it_is_on_record() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        scenery.store.trouble = "disk full"
        scenery.host.kill(slot("web"), Exit(at=Nanos(0), code=1))
        await scenery.running("web")
        assert scenery.host.unacknowledged == [slot("web")]
        scenery.store.trouble = ""
        await scenery.until(lambda: not scenery.host.unacknowledged)

    supervise("web", story=story)


def test_a_full_disk_stops_no_supervision_and_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "RETRY_S", 0.05)

    async def story(scenery: Scenery) -> None:
        events = aiter(scenery.daemon.journal.listen())
        assert (await anext(events)).seq == 0
        await scenery.running("web")
        assert scenery.daemon.journal.trouble == "disk full"
        scenery.store.trouble = ""
        await until_async(lambda: "service.ready" in {one.kind for one in scenery.store.written})
        assert scenery.daemon.journal.trouble == ""
        written = len(scenery.store.written)
        assert [event.seq for event in scenery.store.written] == list(range(1, written + 1))
        scenery.host.kill(slot("web"), Exit(at=Nanos(0), code=1))
        told = [await anext(events) for _ in range(written)]
        assert [event.seq for event in told] == [0] * (written - 1) + [written + 1]

    def prepare(scenery: Scenery) -> None:
        scenery.store.trouble = "disk full"

    supervise("web", story=story, prepare=prepare)


def test_r14_a_disk_that_hangs_stops_no_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PATIENCE_S", 0.05)

    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        assert "the disk does not answer" in scenery.daemon.journal.trouble

    def prepare(scenery: Scenery) -> None:
        scenery.store.hangs = asyncio.Event()

    supervise("web", story=story, prepare=prepare)


def test_a_listener_that_falls_behind_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LISTENER_LIMIT", 2)
    seen: list[str] = []

    async def story(scenery: Scenery) -> None:
        events = scenery.daemon.journal.listen()
        await scenery.running("web", "worker", "api")
        seen.extend([event.kind async for event in events])

    supervise("web", "worker", "api", story=story)
    assert seen


def test_manifests_that_cannot_be_read_keep_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.runtime.source.HELD_LOOK_S", 0.01)

    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        scenery.manifests.held = "a rebase is under way"
        scenery.manifests.save()
        await scenery.until(lambda: scenery.daemon.picture().source_held)
        assert scenery.state("web") is State.RUNNING
        assert scenery.daemon.picture().source_held == "a rebase is under way"
        scenery.manifests.held = ""
        scenery.manifests.save(quick("web"), quick("api"))
        await scenery.running("web", "api")
        assert not scenery.daemon.picture().source_held

    supervise("web", story=story)


def test_a_defect_in_reading_holds_and_heals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.runtime.source.HELD_LOOK_S", 0.01)

    async def story(scenery: Scenery) -> None:
        await scenery.until(lambda: scenery.daemon.picture().source_held)
        assert "KeyError" in scenery.daemon.picture().source_held
        scenery.manifests.defect = None
        await scenery.running("web")

    def prepare(scenery: Scenery) -> None:
        scenery.manifests.defect = KeyError("x")

    supervise("web", story=story, prepare=prepare)


def test_what_was_read_before_the_question_is_no_answer() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        scenery.manifests.save(quick("web", "d2"))
        before = scenery.manifests.reads
        await scenery.daemon.source.refresh()
        assert scenery.manifests.reads > before
        last = scenery.daemon.source.last
        assert last is not None
        assert last.definitions[service("web").name].spec.digest == "d2"

    supervise("web", story=story)


def test_unchanged_manifests_are_no_news() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        steps = 0

        async def count() -> None:
            nonlocal steps
            while True:
                await scenery.daemon.turn()
                steps += 1

        counting = asyncio.create_task(count())
        for _ in range(3):
            await scenery.daemon.source.refresh()
        await asyncio.sleep(0.02)
        counting.cancel()
        assert steps <= 1

    supervise("web", story=story)


def test_a_shutdown_ends_the_loop_when_nothing_runs() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web", "worker")
        scenery.shut_down()
        await scenery.until(lambda: not scenery.host.processes)

    supervise("web", "worker", story=story)


def test_asking_twice_kills() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        scenery.host.ignores_sigterm = True
        scenery.shut_down()
        await scenery.until(lambda: scenery.state("web") is State.STOPPING)
        assert scenery.host.processes
        scenery.shut_down(OperationKind.KILL)
        await scenery.until(lambda: not scenery.host.processes)

    def prepare(scenery: Scenery) -> None:
        scenery.manifests.save(replace(quick("web"), stop_timeout=seconds(600)))

    supervise("web", story=story, prepare=prepare)


def test_leaving_touches_nothing() -> None:
    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        performed = len(scenery.host.performed)
        scenery.daemon.leave()
        await asyncio.sleep(0.05)
        assert scenery.host.processes
        assert len(scenery.host.performed) == performed

    supervise("web", story=story)


def test_a_step_that_fails_is_survived(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(daemon_module, "CALM_S", 0.01)
    step = Engine.step
    failures = iter([ZeroDivisionError("first"), ZeroDivisionError("first")])

    def fragile(self: Engine, events: list[Event], now: Nanos) -> object:
        has_end = any(isinstance(event, Exited) for event in events)
        if has_end and (failure := next(failures, None)) is not None:
            raise failure
        return step(self, events, now)

    monkeypatch.setattr(Engine, "step", fragile)

    async def story(scenery: Scenery) -> None:
        await scenery.running("web")
        scenery.host.kill(slot("web"), Exit(at=Nanos(0), code=1))
        await scenery.until(lambda: scenery.daemon.problem)
        assert scenery.daemon.problem == "ZeroDivisionError: first"
        scenery.host.lose()
        await scenery.until(lambda: scenery.starts("web") == 2)

    supervise("web", story=story)
    assert caplog.text.count("Traceback") == 1


def test_p16_a_command_that_raises_is_answered_and_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(scenery: Scenery) -> None:
        spawn, raised = scenery.host.spawn, 0

        def fragile(command: Spawn) -> object:
            nonlocal raised
            raised += 1
            if raised == 1:
                raise RuntimeError("out of luck")
            return spawn(command)

        monkeypatch.setattr(scenery.host, "spawn", fragile)
        scenery.manifests.save(quick("web"), quick("api"))
        await scenery.running("web", "api")
        assert any("out of luck" in event.reason for event in scenery.store.written)

    supervise("web", story=story)


def test_a_host_that_does_not_answer_is_unseen_until_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(performer, "HOST_TIME_S", 0.05)

    async def story(scenery: Scenery) -> None:
        await scenery.until(lambda: "did not answer" in scenery.daemon.picture().host_unseen)
        assert not any(isinstance(command, Spawn) for command in scenery.host.performed)
        scenery.host.hangs = False
        await scenery.running("web")

    def prepare(scenery: Scenery) -> None:
        scenery.host.hangs = True

    supervise("web", story=story, prepare=prepare)


SPAWN = Spawn(serial=Serial(1), slot=slot("web"), spec=service("web"), because="x")


def test_an_unanswered_start_claims_nothing() -> None:
    assert overdue(SPAWN) is None


def test_an_unanswered_look_says_that_the_host_is_unseen() -> None:
    assert isinstance(overdue(LookAtHost(serial=Serial(1))), HostLost)


def test_every_command_that_fails_has_an_answer_with_its_serial() -> None:
    assert failed(SPAWN, "y") == SpawnFailed(
        serial=Serial(1), slot=slot("web"), step="ask", errno=0, because="y"
    )
