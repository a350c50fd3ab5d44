"""The host as the daemon uses it: commands in, events out, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler import __version__
from reconciler.adapters.native import NativeHost, start, start_holder
from reconciler.core.launch import Launch, Surroundings, launch
from reconciler.holder import fate, tree, wire
from reconciler.model.event import (
    Errand,
    Event,
    Exited,
    HostLooked,
    HostLost,
    LookAtHost,
    Scope,
    Signal,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
    TreeEmptied,
)
from reconciler.model.observed import Process, Role, Slot
from reconciler.model.spec import Hook, ServiceSpec
from reconciler.model.units import Digest, RunId, Serial, ServiceName
from reconciler.ports import HostError
from tests.holder.installation import installation
from tests.holder.rig import KERNEL_TELLS, PATH

pytestmark = pytest.mark.real

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
