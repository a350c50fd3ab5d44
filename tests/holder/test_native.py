"""The host as the daemon uses it: commands in, events out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.core.launch import Launch
from reconciler.holder import tree
from reconciler.model.event import (
    Errand,
    Exited,
    Scope,
    Spawn,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.observed import Role, Slot
from reconciler.model.spec import Hook, ServiceSpec
from reconciler.model.units import Digest, RunId, Serial, ServiceName
from tests.holder.native_desk import Desk, desk_of, holds, with_desk

pytestmark = pytest.mark.real


@with_desk
async def test_a_start_gives_the_identity_and_carries_the_mark(desk: Desk) -> None:
    process = await desk.start("web", "sleep", "1000")
    found = tree.find(process.id.pid)
    assert found is not None
    assert (found.born, process.id.boot) == (process.id.born, tree.boot_id())
    assert tree.mark(process.id.pid) == process.run
    assert (process.slot.service, process.digest, process.is_live) == ("web", "d1", True)
    assert abs(tree.now() - process.started) < 5_000_000_000


@with_desk
async def test_an_end_is_told_after_the_start_and_before_emptiness(desk: Desk) -> None:
    process = await desk.start("web", "sh", "-c", "exit 7")
    await desk.heard(TreeEmptied, process)
    exited, emptied = desk.events
    assert isinstance(exited, Exited)
    assert (exited.exit.code, exited.exit.signal, exited.exit.unknown) == (7, None, False)
    assert emptied == TreeEmptied(slot=process.slot, run=process.run)


@with_desk
async def test_a_deadly_signal_is_told_by_its_name(desk: Desk) -> None:
    process = await desk.start("web", "sleep", "1000")
    assert await desk.signal(process, "SIGUSR1") == ""
    exited = await desk.heard(Exited, process)
    assert isinstance(exited, Exited)
    assert (exited.exit.code, exited.exit.signal) == (None, "SIGUSR1")
    rt = await desk.start("rt", "sleep", "1000")
    assert await desk.signal(rt, "SIGRTMIN+3") == ""
    exited = await desk.heard(Exited, rt)
    assert isinstance(exited, Exited)
    assert exited.exit.signal == "SIGRTMIN+3"


@with_desk
async def test_a_start_that_fails_says_at_which_step(desk: Desk) -> None:
    event = await desk.spawn("web", "nonesuch")
    assert isinstance(event, SpawnFailed)
    assert (event.step, event.errno, event.is_busy) == ("exec", 2, False)
    assert "nonesuch" in event.because
    assert not desk.events


@with_desk
async def test_an_errand_runs_beside_the_main_process_and_is_known_by_its_role(desk: Desk) -> None:
    main = await desk.start("web", "sleep", "1000")
    spec = ServiceSpec(name=main.slot.service, digest=Digest("d1"), env={"A": "1"})
    said = 'echo "$WEAVER_HOOK $WEAVER_SERVICE $A $B $WEAVER_RESULT"; exec sleep 1000'
    hook = Hook(command=(said,), shell=True, env={"B": "2"})
    errand = Errand(role=Role.POST_STOP, hook=hook, place=1, env={"WEAVER_RESULT": "success"})
    event = await desk.host.perform(
        Spawn(serial=Serial(90), slot=main.slot, spec=spec, because="test", errand=errand)
    )
    assert isinstance(event, Spawned), event
    side = event.process
    assert (side.slot, side.role, side.place) == (main.slot, Role.POST_STOP, 1)
    await desk.kill_holder()
    shown = await desk.look()
    assert (shown[side.run].role, shown[side.run].place) == (Role.POST_STOP, 1)
    assert shown[main.run].role is Role.MAIN
    assert await desk.signal(side, "SIGKILL", Scope.TREE) == ""
    emptied = await desk.heard(TreeEmptied, side)
    assert emptied == TreeEmptied(slot=main.slot, run=side.run, role=Role.POST_STOP)
    log = desk.root / "logs" / "web" / "0.log"
    assert log.read_text() == "postStop web 1 2 success\n"


@with_desk
async def test_a_slot_that_is_not_empty_is_busy_and_no_failure(desk: Desk) -> None:
    process = await desk.start("web", "sleep", "1000")
    event = await desk.spawn("web", "sleep", "1000")
    assert isinstance(event, SpawnFailed)
    assert event.is_busy
    assert str(process.id.pid) in event.because


def test_a_start_that_cannot_be_prepared_is_a_failure_and_no_exception(tmp_path: Path) -> None:
    def prepare(_spec: ServiceSpec, _slot: Slot, _run: RunId, _: Errand | None) -> Launch:
        raise FileNotFoundError(2, "no such file", "secrets.env")

    async def inside() -> None:
        async with desk_of(tmp_path, prepare) as desk:
            for files in ((), ("secrets.env",)):
                spec = ServiceSpec(name=ServiceName("web"), digest=Digest("d"), env_file=files)
                event = await desk.spawn("web", "true", spec=spec)
                assert isinstance(event, SpawnFailed)
                assert (event.step, event.errno) == ("prepare", 2)
                assert "secrets.env" in event.because

    asyncio.run(inside())


@with_desk
async def test_a_holder_that_knows_no_users_is_given_none(desk: Desk) -> None:
    """It would leave the user out, and run as root what shall not."""
    humble = ServiceSpec(name=ServiceName("web"), digest=Digest("d"), no_new_privileges=True)
    session = desk.host._session  # noqa: SLF001 - what an older holder says of itself
    session.can = frozenset()
    event = await desk.spawn("web", "sleep", "1000", spec=humble)
    assert isinstance(event, SpawnFailed)
    assert event.step == "prepare"
    assert "the holder is of an older version" in event.because
    session.can = frozenset({"identity"})
    assert isinstance(await desk.spawn("web", "sleep", "1000", spec=humble), Spawned)


@with_desk
async def test_arguments_and_environment_over_a_packet_arrive(desk: Desk) -> None:
    env = {f"KEY_{n}": "v" * 10_000 for n in range(100)}
    spec = ServiceSpec(name=ServiceName("web"), digest=Digest("d"), env=env)
    words = [f"word-{n}" for n in range(20_000)]
    event = await desk.spawn("web", "sh", "-c", "echo $# ${#KEY_99}", "sh", *words, spec=spec)
    assert isinstance(event, Spawned), event
    await desk.heard(TreeEmptied, event.process)
    assert (desk.root / "logs" / "web" / "0.log").read_text() == "20000 10000\n"


@with_desk
async def test_what_no_host_can_execute_is_refused_as_too_big(desk: Desk) -> None:
    event = await desk.spawn("web", "true", "x" * 200_000)
    assert isinstance(event, SpawnFailed)
    assert (event.step, event.errno) == ("exec", 7)
    spec = ServiceSpec(name=ServiceName("w"), digest=Digest("d"), env={"A": "x" * (80 << 20)})
    event = await desk.spawn("web", "true", spec=spec)
    assert isinstance(event, SpawnFailed)
    assert (event.step, event.errno) == ("exec", 7)


@pytest.mark.parametrize("scope", [Scope.GROUP, Scope.TREE])
def test_a_signal_reaches_as_far_as_it_is_meant_to(tmp_path: Path, scope: Scope) -> None:
    async def inside() -> None:
        async with desk_of(tmp_path) as desk:
            process = await desk.start("web", "sh", "-c", "trap '' TERM; sleep 1000; sleep 1000")
            assert await desk.signal(process, "SIGKILL", scope) == ""
            await desk.heard(TreeEmptied, process)

    asyncio.run(inside())


@with_desk
async def test_a_signal_that_cannot_be_sent_is_a_problem_in_words(desk: Desk) -> None:
    process = await desk.start("web", "sleep", "1000")
    other = replace(process, id=replace(process.id, born=process.id.born + 1))
    assert "not there" in await desk.signal(other, "SIGKILL")
    rebooted = replace(process, id=replace(process.id, boot="another"))
    assert "boot" in await desk.signal(rebooted, "SIGKILL")
    assert "no signal" in await desk.signal(process, "SIGNONSENSE")
    assert holds(process.id.pid)


@with_desk
async def test_v18_a_stopped_process_hears_that_it_shall_end(desk: Desk) -> None:
    process = await desk.start("web", "sleep", "1000")
    await desk.signal(process, "SIGSTOP")
    await desk.signal(process, "SIGTERM")
    exited = await desk.heard(Exited, process)
    assert isinstance(exited, Exited)
    assert exited.exit.signal == "SIGTERM"
