"""The host's hooks: real programs, their limits, the queues, and the two that may refuse."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from reconciler.adapters.host_hooks import HookPrograms
from reconciler.model.event import Happening, Scope, Signal, Spawn
from reconciler.model.observed import ProcessId, Slot
from reconciler.model.spec import Hook
from reconciler.model.units import RunId, Serial, ServiceName, seconds
from reconciler.ports import EventRecord
from reconciler.runtime import host_hooks
from reconciler.runtime.host_hooks import QUEUE_LIMIT, Gate, HostHooks, Surroundings, occasions
from tests.runtime.fakes import service
from tests.waiting import until

ENV = {"PATH": os.defpath}
WEB = Slot(service=ServiceName("web"), index=0)


def shell(text: str, limit: float = 10) -> Hook:
    return Hook(command=(text,), shell=True, timeout=seconds(limit))


def run(root: Path, hook: Hook) -> str:
    programs = HookPrograms(root, ENV, root / "notes")
    return asyncio.run(programs.run("notify", hook, b'{"hook": "notify"}\n'))


@pytest.mark.parametrize(
    ("hook", "problem"),
    [
        (shell("exit 0"), ""),
        (shell("echo no such host; exit 3"), "exited with 3: no such host"),
        (shell("echo one; echo two >&2; exit 1"), "exited with 1: two"),
        (shell("echo said; sleep 100", 0.2), "not done within 0.2 s, killed: said"),
        (shell("kill -9 $$"), "killed by SIGKILL"),
        (shell("kill -9 0"), "killed by SIGKILL"),
        (Hook(command=("./missing",)), "cannot run ./missing: no such file or directory"),
        (Hook(command=("/etc/passwd",)), "cannot run /etc/passwd: permission denied"),
        (shell("sleep 100 & exit 0"), ""),
        (shell('test "$WEAVER_HOOK" = notify && grep -q notify'), ""),
    ],
)
def test_what_comes_of_a_hook_is_said_in_a_line(tmp_path: Path, hook: Hook, problem: str) -> None:
    assert run(tmp_path, hook) == problem


def test_v22_nothing_that_a_hook_started_outlives_it(tmp_path: Path) -> None:
    assert "killed" in run(tmp_path, shell("sleep 100 & echo $! > pid; wait", 1))
    until(lambda: is_gone(tmp_path / "pid"))


AWAY = "setsid sh -c 'echo $$ > away; setsid sleep 100 & echo $! > further; wait' >/dev/null 2>&1 &"


@pytest.mark.parametrize("rest", ["until test -s further; do :; done", "wait"])
def test_who_left_a_hook_s_group_does_not_outlive_it_either(tmp_path: Path, rest: str) -> None:
    async def story() -> None:
        programs = HookPrograms(tmp_path, ENV, tmp_path / "notes")
        stranger = await asyncio.create_subprocess_exec("sleep", "100", start_new_session=True)
        await programs.run("notify", shell(f"{AWAY} {rest}", 1.0), b"")
        for name in ("away", "further"):
            await asyncio.to_thread(until, lambda name=name: is_gone(tmp_path / name))
        assert stranger.returncode is None
        stranger.kill()
        await stranger.wait()

    asyncio.run(story())


def test_it_does_not_outlive_a_daemon_that_ends_meanwhile_either(tmp_path: Path) -> None:
    async def story() -> None:
        programs = HookPrograms(tmp_path, ENV, tmp_path / "notes")
        hook = shell(f"echo $$ > own; {AWAY} wait", 60)
        running = asyncio.create_task(programs.run("notify", hook, b""))
        further = tmp_path / "further"
        await asyncio.to_thread(until, lambda: further.exists() and further.read_text())
        running.cancel()
        own = Path("/proc", (tmp_path / "own").read_text().strip())
        await asyncio.to_thread(until, lambda: not own.exists())

    asyncio.run(story())
    until(lambda: is_gone(tmp_path / "away") and is_gone(tmp_path / "further"))


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from reconciler.adapters.host_hooks import HookPrograms
from tests.runtime.test_host_hooks import AWAY, ENV, shell
from tests.waiting import until

here = Path(sys.argv[1])

async def run():
    programs = HookPrograms(here, ENV, here / "notes")
    hook = shell(f"echo $$ > own; {AWAY} wait", 60)
    running = asyncio.create_task(programs.run("notify", hook, b""))
    further = here / "further"
    await asyncio.to_thread(until, lambda: further.exists() and further.read_text())
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(run())
"""


@pytest.mark.real
def test_v22_what_a_hook_leaves_to_the_next_daemon_is_ended_by_that(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == -signal.SIGKILL
    notes = tmp_path / "notes"
    assert len([*notes.iterdir()]) == 1
    assert not any(is_gone(tmp_path / name) for name in ("own", "away", "further"))
    (notes / "0123456789abcdef").write_text("another-boot 17")
    (notes / "torn").touch()

    async def next_daemon() -> None:
        programs = HookPrograms(tmp_path, ENV, notes)
        await programs.run("notify", shell("true"), b"")
        assert all(is_gone(tmp_path / name) for name in ("own", "away", "further"))
        await asyncio.to_thread(until, lambda: not [*notes.iterdir()])

    asyncio.run(next_daemon())


def is_gone(note: Path) -> bool:
    """Tell whether the process is dead whose pid was noted."""
    state = Path(f"/proc/{note.read_text().strip()}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_hook_that_floods_its_output_is_ended_in_its_time(tmp_path: Path) -> None:
    ticks = 0

    async def flood() -> str:
        nonlocal ticks

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        try:
            programs = HookPrograms(tmp_path, ENV, tmp_path / "notes")
            return await programs.run("notify", shell("yes", 0.5), b"")
        finally:
            ticking.cancel()

    assert asyncio.run(flood()) == "not done within 0.5 s, killed: y"
    assert ticks > 2, "the loop goes on meanwhile"


def test_the_tail_of_a_long_output_is_kept(tmp_path: Path) -> None:
    said = run(tmp_path, shell("head -c 3000000 /dev/zero; echo; echo at last; exit 1", 30))
    assert said == "exited with 1: at last"


@pytest.mark.parametrize(
    ("hook", "fault"),
    [
        (Hook(command=("sh", "-c", "x")), ""),
        (Hook(command=("no-such-program",)), "no-such-program is not on the PATH"),
        (Hook(command=("./here",)), "./here is not executable"),
        (Hook(command=("./there",)), "./there is not there"),
        (shell("whatever | it is"), ""),
    ],
)
def test_doctor_knows_which_program_could_not_be_run(
    tmp_path: Path, hook: Hook, fault: str
) -> None:
    (tmp_path / "here").touch(mode=0o644)
    assert HookPrograms(tmp_path, ENV, tmp_path / "notes").fault(hook) == fault


# --- the queues ------------------------------------------------------------------------------


def event(kind: str, **data: str) -> EventRecord:
    return EventRecord(
        seq=7,
        time=1_700_000_000.5,
        kind=kind,
        service="web",
        instance="web-0",
        reason="exited with 1",
        revision="3f2c91a",
        actor="",
        data=data,
    )


@pytest.mark.parametrize(
    ("kind", "hooks"),
    [
        ("service.ready", ("post-service-start",)),
        ("service.stopped", ("post-service-stop",)),
        ("service.crashed", ("service-crashed", "notify")),
        ("service.degraded", ("service-degraded",)),
        ("service.gave-up", ("notify",)),
        ("config.changed", ("post-service-config-change",)),
        ("git.committed", ("post-git-commit",)),
        ("hook.failed", ("notify",)),
        ("service.starting", ()),
    ],
)
def test_each_event_is_for_its_hooks(kind: str, hooks: tuple[str, ...]) -> None:
    assert occasions(event(kind)) == hooks


class Programs:
    """Takes note of what it is asked to run, and answers when it is let go."""

    def __init__(self, problem: str = "") -> None:
        self.problem = problem
        self.sweeps = 0
        self.ran: list[tuple[str, dict[str, object]]] = []
        self.go = asyncio.Event()
        self.go.set()

    async def sweep(self) -> None:
        self.sweeps += 1

    async def run(self, kind: str, hook: Hook, document: bytes) -> str:
        assert hook.command
        self.ran.append((kind, json.loads(document)))
        await self.go.wait()
        return self.problem


class Notes:
    """What was put on record."""

    def __init__(self) -> None:
        self.made: list[Happening] = []

    async def note(self, happening: Happening) -> None:
        self.made.append(happening)


def around(programs: Programs, notes: Notes, *kinds: str) -> Surroundings:
    hooks: Mapping[str, Hook] = {kind: Hook(command=("x",)) for kind in kinds}
    return Surroundings(
        runner=programs,
        settings=lambda: hooks,
        wall=lambda: 1_700_000_000.5,
        note=notes.note,
        revision=lambda: "3f2c91a",
    )


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_a_hook_reads_all_of_its_event_and_its_failure_is_told_to_no_hook() -> None:
    async def story() -> None:
        programs, notes = Programs("exited with 1"), Notes()
        hooks = HostHooks(around(programs, notes, "notify"))
        hooks.offer(event("service.crashed", step="exec"))
        await turns()
        ((kind, told),) = programs.ran
        assert (kind, told["hook"], told["event"]) == ("notify", "notify", "service.crashed")
        assert told["formatVersion"] == "1.0"
        assert told["time"] == "2023-11-14T22:13:20.500Z"
        assert told["data"] == {"step": "exec"}
        (failed,) = notes.made
        assert (failed.kind, failed.reason) == ("hook.failed", "notify: exited with 1")
        assert occasions(event("hook.failed", of="host")) == ()

    asyncio.run(story())


def test_a_hook_that_hangs_keeps_no_other_waiting_and_what_it_misses_is_counted() -> None:
    async def story() -> None:
        programs, notes = Programs(), Notes()
        hooks = HostHooks(around(programs, notes, "notify", "service-crashed"))
        programs.go.clear()
        for _ in range(QUEUE_LIMIT + 5):
            hooks.offer(event("service.gave-up"))
            await turns(2)
        hooks.offer(event("service.crashed"))
        await turns()
        assert [kind for kind, _ in programs.ran] == ["notify", "service-crashed"]
        assert hooks.trouble() == "hooks of the host cannot keep up: notify (5 dropped)"
        programs.go.set()
        await turns(5 * QUEUE_LIMIT)
        assert [made.reason for made in notes.made] == [
            "notify: it was not told of 5 events: too slow"
        ]
        assert hooks.trouble() == ""

    asyncio.run(story())


# --- the two that may refuse -----------------------------------------------------------------


def spawn() -> Spawn:
    return Spawn(serial=Serial(1), slot=WEB, spec=service("web"), because="wanted")


def stop(*, begins_stop: bool = True) -> Signal:
    return Signal(
        serial=Serial(2),
        slot=WEB,
        run=RunId("r"),
        target=ProcessId(boot="b", pid=1, born=1),
        signal="SIGTERM",
        scope=Scope.MAIN,
        because="its manifest says stopped",
        begins_stop=begins_stop,
    )


KINDS = ("pre-service-start", "pre-service-stop")


def test_a_refusal_says_the_hook_s_last_words() -> None:
    async def story() -> None:
        gate = Gate(around(Programs("exited with 1: not now"), Notes(), *KINDS), lambda: False)
        start, end = await gate.may_start(spawn()), await gate.may_stop(stop())
        assert start is not None
        assert start.is_refused
        assert start.because == "refused by pre-service-start: exited with 1: not now"
        assert end is not None
        assert end.is_refused
        assert await gate.may_stop(stop(begins_stop=False)) is None

    asyncio.run(story())


def test_while_weaver_ends_no_stop_is_refused() -> None:
    async def story() -> None:
        gate = Gate(around(Programs("exited with 1"), Notes(), *KINDS), lambda: True)
        assert await gate.may_stop(stop()) is None

    asyncio.run(story())


def test_without_hooks_nobody_is_asked() -> None:
    async def story() -> None:
        programs = Programs("never run")
        gate = Gate(around(programs, Notes()), lambda: False)
        assert (await gate.may(spawn()), await gate.may(stop())) == (None, None)
        assert programs.ran == []

    asyncio.run(story())


def test_a_slow_answer_counts_when_it_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_hooks, "PATIENCE_S", 0.01)

    async def story() -> None:
        programs = Programs()
        gate = Gate(around(programs, Notes(), *KINDS), lambda: False)
        programs.go.clear()
        first = await gate.may_start(spawn())
        assert first is not None
        assert first.because == "waiting for pre-service-start, which has not answered yet"
        assert await gate.may_start(spawn()) is not None
        programs.go.set()
        await turns()
        assert await gate.may_start(spawn()) is None
        assert len(programs.ran) == 1
        await gate.close()

    asyncio.run(story())
