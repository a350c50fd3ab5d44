"""What somebody who looks on is told, and what Ctrl-C does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from reconciler.model.event import Operation, OperationKind
from reconciler.model.observed import Exit, Slot
from reconciler.model.units import Nanos
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.foreground import BURST_S, HOPELESS_S, Interrupts, Onlooker
from reconciler.runtime.live import LiveControl
from reconciler.runtime.messages import Converged, EventSeen, Message, Note, Problem
from reconciler.runtime.paths import StatePaths
from tests.runtime.control_desk import Desk, make_desk
from tests.runtime.fakes import slot, spec_of
from tests.waiting import until_async


def looking_on(
    *texts: str, tmp_path: Path, story: Callable[[Desk, list[Message]], Awaitable[None]]
) -> list[Message]:
    shown: list[Message] = []

    async def tell() -> None:
        desk, daemon = make_desk(texts, StatePaths.of(tmp_path))
        assert isinstance(desk.control, LiveControl)
        looking = asyncio.create_task(Onlooker(daemon, desk.control, shown.append).run())
        running = asyncio.create_task(daemon.run())
        try:
            await story(desk, shown)
            await asyncio.sleep(0.02)
        finally:
            for task in (looking, running):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    asyncio.run(tell())
    return shown


def kinds(shown: list[Message]) -> list[str]:
    return [message.event.kind for message in shown if isinstance(message, EventSeen)]


def arrivals(shown: list[Message]) -> list[Converged]:
    return [message for message in shown if isinstance(message, Converged)]


def test_events_are_shown_and_then_that_all_is_as_wanted(tmp_path: Path) -> None:
    async def story(_: Desk, shown: list[Message]) -> None:
        await until_async(lambda: arrivals(shown))

    shown = looking_on("db d1", "web d1 db", tmp_path=tmp_path, story=story)
    [arrival] = arrivals(shown)
    assert arrival.services == ("db", "web")
    before = shown[: shown.index(arrival)]
    assert kinds(before).count("service.ready") == 2
    # The troubles that the desk always has are shown once, as problems of our own.
    assert [m.title for m in shown if isinstance(m, Problem)] == ["the watch is blind"]


def test_each_return_to_order_is_said(tmp_path: Path) -> None:
    async def story(desk: Desk, shown: list[Message]) -> None:
        await until_async(lambda: arrivals(shown))
        desk.host.kill(slot("web"), Exit(at=Nanos(0), code=1))
        await until_async(lambda: len(arrivals(shown)) == 2)

    shown = looking_on("web d1", tmp_path=tmp_path, story=story)
    assert "service.crashed" in kinds(shown)


def test_a_fault_is_shown_once_and_its_mending_too(tmp_path: Path) -> None:
    async def story(desk: Desk, shown: list[Message]) -> None:
        await until_async(lambda: arrivals(shown))
        desk.manifests.save(spec_of("web bad"))
        await until_async(lambda: any(isinstance(m, Problem) and m.diagnostics for m in shown))
        desk.host.lose()
        desk.manifests.save(spec_of("web d1"))
        await until_async(lambda: Note(text="all manifests are valid again") in shown)

    shown = looking_on("web d1", tmp_path=tmp_path, story=story)
    faults = [m for m in shown if isinstance(m, Problem) and m.diagnostics]
    assert len(faults) == 1


def test_that_the_manifests_are_held_is_said_and_its_end(tmp_path: Path) -> None:
    async def story(desk: Desk, shown: list[Message]) -> None:
        await until_async(lambda: arrivals(shown))
        desk.manifests.held = "a rebase is in progress"
        desk.manifests.touch()
        await until_async(lambda: Note(text="a rebase is in progress") in shown)
        desk.manifests.held = ""
        await until_async(lambda: Note(text="the manifests are followed again") in shown)

    looking_on("web d1", tmp_path=tmp_path, story=story)


def test_the_end_is_said_and_nothing_is_as_wanted_after_it_was_asked_for(tmp_path: Path) -> None:
    async def story(desk: Desk, shown: list[Message]) -> None:
        await until_async(lambda: arrivals(shown))
        desk.host.kill(slot("web"), Exit(at=Nanos(0), code=1))
        await until_async(lambda: "service.crashed" in kinds(shown))
        desk.daemon.ask(Operation(id="signal", kind=OperationKind.SHUTDOWN))
        await until_async(lambda: shown[-1] == Note(text="everything is stopped"))

    shown = looking_on("web d1", tmp_path=tmp_path, story=story)
    assert len(arrivals(shown)) == 1


class Slow(LiveControl):
    """A facade that is asked to end everything while it looks where services listen."""

    daemon: Daemon

    async def listening(self, within_s: float) -> dict[Slot, tuple[str, ...]]:
        assert within_s > 0
        self.daemon.ask(Operation(id="signal", kind=OperationKind.SHUTDOWN))
        return {}


def test_a_shutdown_while_places_are_looked_up_lets_nothing_be_as_wanted(tmp_path: Path) -> None:
    async def tell() -> None:
        desk, daemon = make_desk(("web d1",), StatePaths.of(tmp_path))
        assert isinstance(desk.control, LiveControl)
        slow = Slow.__new__(Slow)
        vars(slow).update(vars(desk.control), daemon=daemon)
        looking = asyncio.create_task(Onlooker(daemon, slow, shown.append).run())
        await daemon.run()
        await looking

    shown: list[Message] = []
    asyncio.run(tell())
    assert arrivals(shown) == []
    assert shown[-1] == Note(text="everything is stopped")


class Asked(Daemon):
    """A daemon that only notes what it is asked."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def ask(self, operation: Operation) -> None:
        self.heard.append(operation.kind)

    def leave(self, *, returns: bool = False) -> None:
        assert not returns
        self.heard.append("leave")


STOP, KILL = OperationKind.SHUTDOWN, OperationKind.KILL


@pytest.mark.parametrize(
    ("pauses", "heard"),
    [
        pytest.param([0.0], [STOP], id="once"),
        pytest.param([0.0, 1.0], [STOP, KILL], id="twice"),
        pytest.param([0.0, BURST_S / 2, BURST_S / 3], [STOP], id="a burst"),
        pytest.param([0.0, 1.0, 1.0], [STOP, KILL, KILL], id="impatient"),
        pytest.param([0.0, 1.0, HOPELESS_S], [STOP, KILL, "leave"], id="hopeless"),
        pytest.param([0.0, 60.0], [STOP, KILL], id="late"),
    ],
)
def test_each_ctrl_c_goes_one_step_further(pauses: list[float], heard: list[str]) -> None:
    clock = [100.0]
    daemon = Asked()
    shown: list[Message] = []
    interrupts = Interrupts(daemon, shown.append, lambda: clock[0])
    for pause in pauses:
        clock[0] += pause
        interrupts.press()
    assert daemon.heard == heard
    assert len(shown) == len(heard)


def test_any_number_of_sigterms_is_one_orderly_end() -> None:
    daemon = Asked()
    interrupts = Interrupts(daemon, None, lambda: 0.0)
    for _ in range(10_000):
        interrupts.terminate()
    assert set(daemon.heard) == {STOP}
