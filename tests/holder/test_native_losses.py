"""The host as the daemon uses it, whoever dies or is replaced meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler import __version__
from reconciler.adapters.native import NativeHost, start, start_holder
from reconciler.holder import fate, wire
from reconciler.model.event import (
    Exited,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.ports import HostError
from tests.holder.installation import installation
from tests.holder.native_desk import Desk, desk_of, holds, with_desk
from tests.holder.rig import KERNEL_TELLS

pytestmark = pytest.mark.real


@with_desk
async def test_a_look_shows_all_that_was_asked_for_before(desk: Desk) -> None:
    starts = [asyncio.create_task(desk.start(f"s-{n}", "sleep", "1000")) for n in range(50)]
    looking = asyncio.create_task(desk.look())
    processes = await asyncio.gather(*starts)
    assert await looking == {process.run: process for process in processes}


def test_an_end_is_shown_to_every_daemon_until_one_has_recorded_it(tmp_path: Path) -> None:
    async def inside() -> None:
        async with desk_of(tmp_path) as first:
            await first.look()
            process = await first.start("web", "sh", "-c", "sleep 0.1; exit 42")
            await first.host.close(stop_holder=False)
            second = Desk(tmp_path)
            await second.open()
            if (await second.look())[process.run].is_live:
                await second.heard(TreeEmptied, process)
            shown = (await second.look())[process.run]
            assert shown.exit is not None
            assert shown.exit.code == 42
            await second.host.close(stop_holder=False)
            await first.open()
            assert (await first.look())[process.run] == shown
            await first.acknowledge()
            assert await first.look() == {}

    asyncio.run(inside())


def test_nothing_is_acknowledged_before_it_was_looked_at(tmp_path: Path) -> None:
    async def inside() -> None:
        async with desk_of(tmp_path) as first:
            missed = await first.start("missed", "sh", "-c", "exit 42")
            await first.heard(TreeEmptied, missed)
            later = await first.start("later", "sleep", "1000")
            await first.host.close(stop_holder=False)
            first.events.clear()
            await first.open()
            os.kill(later.id.pid, signal.SIGKILL)
            await first.heard(TreeEmptied, later)
            await first.acknowledge()
            assert set(await first.look()) == {missed.run, later.run}

    asyncio.run(inside())


@with_desk
async def test_a_start_that_nobody_waited_for_is_not_acknowledged_unseen(desk: Desk) -> None:
    await desk.look()
    given_up = asyncio.create_task(desk.spawn("web", "sh", "-c", "exit 42"))
    await asyncio.sleep(0)
    given_up.cancel()
    later = await desk.start("later", "sleep", "0.3")
    await desk.heard(TreeEmptied, later)
    await desk.acknowledge()
    codes = [process.exit and process.exit.code for process in (await desk.look()).values()]
    assert codes == [42, 0]


@with_desk
async def test_a_killed_holder_is_replaced_and_every_pid_stays(desk: Desk) -> None:
    started = [await desk.start(f"s-{n}", "sleep", "1000") for n in range(5)]
    before = desk.host.holder_pid
    await desk.kill_holder()
    found = await desk.look()
    assert {run: process.id for run, process in found.items()} == {p.run: p.id for p in started}
    assert desk.host.holder_pid not in (None, before)
    assert await desk.signal(started[0], "SIGTERM") == ""
    exited = await desk.heard(Exited, started[0])
    assert isinstance(exited, Exited)
    assert exited.exit.signal == "SIGTERM" or not KERNEL_TELLS


@pytest.mark.parametrize("kernel_tells", [KERNEL_TELLS, False], ids=["told", "EINVAL"])
def test_an_end_while_there_is_no_holder_is_seen_at_once_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel_tells: bool
) -> None:
    """No new one can be started here, so all that is known is what the daemon sees itself."""
    if not kernel_tells:
        monkeypatch.setattr(fate, "PIDFD_GET_INFO", 0xC040FF7F)
        monkeypatch.setattr(fate, "EXIT_CODE_FIELD", 999)

    async def inside() -> None:
        async with desk_of(tmp_path) as desk:
            crashed = await desk.start("web", "sleep", "1000")
            kept = await desk.start("api", "sleep", "1000")
            await desk.look()
            with monkeypatch.context() as broken:
                broken.setattr(start, "PROGRAM", Path("/nowhere"))
                await desk.kill_holder()
                os.kill(crashed.id.pid, signal.SIGSEGV)
                ended = await desk.heard(Exited, crashed)
                assert isinstance(ended, Exited)
                assert ended.exit.unknown is not kernel_tells
                assert ended.exit.signal == ("SIGSEGV" if kernel_tells else None)
            found = await desk.look()
            assert found[kept.run].exit is None
            seen = found[crashed.run].exit
            assert seen is not None
            assert seen.signal == ("SIGSEGV" if kernel_tells else seen.signal)
            if not found[crashed.run].tree_empty:
                await desk.heard(TreeEmptied, crashed)
            assert len([e for e in desk.events if isinstance(e, Exited)]) == 1

    asyncio.run(inside())


def test_an_older_holder_becomes_ours_in_place_and_no_service_notices(tmp_path: Path) -> None:
    older = installation(tmp_path / "old", "0.0.1")

    async def inside() -> None:
        with pytest.MonkeyPatch.context() as then:
            then.setattr(start, "PROGRAM", Path(older))
            then.setattr("reconciler.adapters.native.session.__version__", "0.0.1")
            former = Desk(tmp_path)
            await former.open()
            process = await former.start("web", "sleep", "1000")
            pid, version = former.host.holder_pid, former.host.holder_version
            await former.host.close(stop_holder=False)
        async with desk_of(tmp_path) as desk:
            assert (version, desk.host.holder_version) == ("0.0.1", __version__)
            assert desk.host.holder_pid == pid
            assert (await desk.look())[process.run].id == process.id
            await desk.signal(process, "SIGTERM")
            exited = await desk.heard(Exited, process)
            assert isinstance(exited, Exited)
            assert exited.exit.signal == "SIGTERM"

    asyncio.run(inside())


def test_an_older_holder_that_cannot_replace_itself_is_worked_with(tmp_path: Path) -> None:
    change = ("loop.py", '"reexec"', '"something-else"')
    older = installation(tmp_path / "old", "0.0.1", change)

    async def inside() -> None:
        with pytest.MonkeyPatch.context() as former:
            former.setattr(start, "PROGRAM", Path(older))
            async with desk_of(tmp_path) as desk:
                process = await desk.start("web", "sleep", "1000")
                assert desk.host.holder_version == "0.0.1"
                assert "0.0.1, which cannot replace itself" in await desk.host.renew()
                assert (await desk.look())[process.run].id == process.id

    asyncio.run(inside())


@with_desk
async def test_commands_during_the_loss_fail_without_a_claim(desk: Desk) -> None:
    process = await desk.start("web", "sleep", "1000")
    assert desk.host.holder_pid is not None
    os.kill(desk.host.holder_pid, signal.SIGKILL)
    started, signalled = await asyncio.gather(
        desk.spawn("other", "sleep", "1000"), desk.signal(process, "SIGUSR1")
    )
    assert isinstance(started, SpawnFailed)
    assert started.is_busy, "it may run all the same"
    assert "lost" in signalled
    assert (await desk.look())[process.run].is_live


@with_desk
async def test_a_journal_that_was_lost_with_its_holder_is_made_from_what_we_know(
    desk: Desk,
) -> None:
    process = await desk.start("web", "sleep", "1000")
    shutil.rmtree(desk.state)
    await desk.kill_holder()
    assert (await desk.look())[process.run].id == process.id
    event = await desk.spawn("web", "sleep", "1000")
    assert isinstance(event, SpawnFailed)
    assert event.is_busy


def test_a_holder_is_left_alone_unless_it_is_to_stop(tmp_path: Path) -> None:
    async def inside() -> None:
        async with desk_of(tmp_path) as desk:
            process = await desk.start("web", "sleep", "1000")
            pid = desk.host.holder_pid
            assert pid is not None
            for stop_holder in (False, True):
                await desk.host.close(stop_holder=stop_holder)
                assert holds(pid), "something of it still runs"
                await desk.open()
                assert desk.host.holder_pid == pid
            assert holds(process.id.pid)

    asyncio.run(inside())


def test_a_holder_that_is_there_already_is_used(tmp_path: Path) -> None:
    start_holder(tmp_path, tmp_path / ".weaver")
    start_holder(tmp_path, tmp_path / ".weaver")

    async def inside() -> None:
        async with desk_of(tmp_path) as desk:
            assert await desk.look() == {}

    asyncio.run(inside())


def test_a_holder_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / ".weaver").mkdir()
    (tmp_path / ".weaver").chmod(0o777)
    with pytest.raises(HostError, match="others may write") as raised:
        start_holder(tmp_path, tmp_path / ".weaver")
    assert "holder.log" in raised.value.mend


SQUATTER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from reconciler.holder import wire
listener = wire.open_socket()
listener.bind(wire.address(sys.argv[2]))
if os.geteuid() == 0:
    os.setuid(65534)
listener.listen()
print("up", flush=True)
sys.stdin.read()
"""


def test_a_holder_of_another_user_is_told_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(wire.__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SQUATTER, str(root), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as squatter:
        assert squatter.stdout is not None
        assert squatter.stdout.readline() == b"up\n"
        if os.geteuid() != 0:
            # Nobody but root can be somebody else, so be it on our side.
            monkeypatch.setattr(os, "geteuid", lambda: 54321)
        host = NativeHost(tmp_path, tmp_path / ".weaver", Desk(tmp_path).prepare)
        with pytest.raises(HostError, match="another user"):
            asyncio.run(host.open(lambda _: None))
        squatter.kill()
