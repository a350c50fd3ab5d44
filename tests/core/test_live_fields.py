"""Each field marked `live` takes effect without another process; a table of what shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from reconciler.manifest.schema import SERVICE, load
from reconciler.model.event import OperationKind
from reconciler.model.observed import State
from reconciler.model.spec import ReloadWay, RestartPolicy, ServiceSpec, Watch
from reconciler.model.units import Nanos, seconds
from tests.core.building import STEADY, STOPPED, TCP, need, service
from tests.sim.host import Program
from tests.sim.world import World

Fields = dict[str, Any]
HUP = ReloadWay(signal="SIGHUP")
DB = service("db", state=STOPPED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A field, what changes in it, what then happens, and how it shows that it counts."""

    key: str
    after: Fields
    act: Callable[[World, ServiceSpec], None]
    shows: Callable[[World], object]
    before: Fields = field(default_factory=dict)
    program: Program = field(default_factory=Program)


def stop(world: World, spec: ServiceSpec) -> None:
    world.save(replace(spec, state=STOPPED), DB)
    world.pass_time(3)


def crash(code: int) -> Callable[[World, ServiceSpec], None]:
    def act(world: World, _: ServiceSpec) -> None:
        world.end("web", code=code)
        world.pass_time(5)

    return act


def wait(world: World, _: ServiceSpec) -> None:
    world.pass_time(6)


def ask_for_a_reload(world: World, _: ServiceSpec) -> None:
    world.ask(OperationKind.RELOAD, "web")
    world.pass_time(1)


def change_what_is_loaded(world: World, spec: ServiceSpec) -> None:
    world.save(replace(spec, loads=dict.fromkeys(spec.reload_on, "v2")), DB)
    world.pass_time(1)


def change_code(world: World, _: ServiceSpec) -> None:
    world.change_code("web")
    world.pass_time(1)


def runs(world: World) -> bool:
    return any(not run.is_empty for run in world.runs("web"))


def is_down(world: World) -> bool:
    return not runs(world)


NEVER_READY = Program(ready_after=None)
ROWS = (
    Row(
        key="stopTimeout",
        before={"stop_timeout": seconds(30)},
        after={"stop_timeout": seconds(1)},
        program=Program(ends_in=None),
        act=stop,
        shows=is_down,
    ),
    Row(
        key="stopSignal",
        after={"stop_signal": "SIGINT"},
        act=stop,
        shows=lambda world: any(
            run.exit is not None and run.exit.signal == "SIGINT" for run in world.runs("web")
        ),
    ),
    Row(key="restart", after={"restart": RestartPolicy.NEVER}, act=crash(1), shows=is_down),
    Row(
        key="backoff",
        after={"backoff": replace(STEADY, initial=seconds(20))},
        act=crash(1),
        shows=is_down,
    ),
    Row(key="maxRestarts", after={"max_restarts": 0}, act=crash(1), shows=is_down),
    Row(
        key="successExitCodes",
        before={"restart": RestartPolicy.ON_FAILURE},
        after={"restart": RestartPolicy.ON_FAILURE, "success_exit_codes": (3,)},
        act=crash(3),
        shows=is_down,
    ),
    Row(
        key="dependsOn",
        after={"needs": (need("db"),)},
        act=crash(1),
        shows=is_down,
    ),
    Row(
        key="startTimeout",
        before={"ready": TCP},
        after={"ready": TCP, "start_timeout": seconds(5)},
        program=NEVER_READY,
        act=wait,
        shows=lambda world: world.happened("service.crashed"),
    ),
    Row(
        key="ready",
        before={"ready": TCP},
        after={},
        program=NEVER_READY,
        act=wait,
        shows=lambda world: world.state("web") is State.RUNNING,
    ),
    Row(
        key="reload",
        after={"reload": HUP},
        act=ask_for_a_reload,
        shows=lambda world: world.run_of("web").reloads == 1,
    ),
    Row(
        key="reloadOn",
        before={"reload": HUP},
        after={"reload": HUP, "reload_on": ("conf",), "loads": {"conf": "v1"}},
        act=change_what_is_loaded,
        shows=lambda world: world.run_of("web").reloads == 1,
    ),
    Row(
        key="watch",
        after={"watch": Watch(paths=("app",))},
        act=change_code,
        shows=lambda world: len(world.runs("web")) == 2,
    ),
)
ELSEWHERE = {
    "execMode": "tests/manifest/test_sockets.py",
    "schedule": "tests/transcripts/engine-schedule*.txt",
    "logRotation": "tests/logs",
    "healthCheck": "tests/core/test_healing.py",
    "onUnhealthy": "tests/core/test_healing.py",
    "update": "tests/transcripts/engine-rollout*.txt",
    "hooks": "tests/transcripts/engine-hooks-changed.txt",
}
"""Live fields that are no matter of a process at all, and where they are tried."""


@pytest.mark.parametrize("row", ROWS, ids=[row.key for row in ROWS])
@pytest.mark.parametrize("is_changed", [True, False], ids=["changed", "as it was"])
def test_a_live_field_counts_at_once_and_touches_no_process(row: Row, *, is_changed: bool) -> None:
    before, after = service("web", **row.before), service("web", **row.after)
    world = World(before, DB, web=row.program)
    world.pass_time(2)
    [run] = world.runs("web")
    now = after if is_changed else before
    world.save(now, DB)
    world.pass_time(Nanos(0))
    assert [one.id for one in world.runs("web")] == [run.id]
    assert run.asked_at is None
    row.act(world, now)
    assert bool(row.shows(world)) is is_changed


def test_every_live_field_has_a_row() -> None:
    live = {key for key, one in load(SERVICE)["properties"].items() if one["x-effect"] == "live"}
    assert live == {row.key for row in ROWS} | ELSEWHERE.keys()
