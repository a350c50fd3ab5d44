"""Checks by commands and by functions in Python, of every kind."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.adapters.checks import Checks
from reconciler.core.launch import Account, Identity
from reconciler.model.health import (
    CheckFault,
    CheckResult,
    CheckType,
    CommandCheck,
    CustomCheck,
    HealthCheck,
    TcpCheck,
)
from reconciler.model.observed import Slot
from reconciler.model.units import ServiceName, seconds
from reconciler.ports import HostError
from tests.checks.checking import ask, asked, checks, now, place, resident_bytes
from tests.waiting import until

pytestmark = pytest.mark.real


def command(*cmd: str, timeout_s: float = 10.0, **more: Any) -> HealthCheck:
    check = CommandCheck(cmd=cmd, **more)
    return HealthCheck(type=CheckType.COMMAND, command=check, timeout=seconds(timeout_s))


def python(code: str, **more: Any) -> HealthCheck:
    return command(sys.executable, "-c", code, **more)


def custom(module: str, timeout_s: float = 10.0, **options: Any) -> HealthCheck:
    check = CustomCheck(module=module, options=options)
    return HealthCheck(type=CheckType.CUSTOM, custom=check, timeout=seconds(timeout_s))


NOBODY = HealthCheck(type=CheckType.TCP, tcp=TcpCheck(port=1))


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in {"Z", "X"}


@pytest.mark.parametrize(
    ("code", "more", "ok", "detail"),
    [
        ("print('fine')", {}, True, "fine"),
        ("import os; print(os.environ['COLOR'])", {}, True, "blue"),
        ("raise SystemExit(3)", {"expected_exit_code": 3}, True, "exited with 3"),
        ("raise SystemExit(3)", {"expected_exit_code": 4}, False, "exited with 3, want 4"),
        ("import sys; sys.exit('no database')", {}, False, "exited with 1: no database"),
        ("import os; os.kill(os.getpid(), 11)", {}, False, "killed by SIGSEGV"),
        ("print('lag 12')", {"expected_output": r"lag \d\d?$"}, True, "lag 12"),
        ("print('lag 120')", {"expected_output": r"lag \d\d?$"}, False, '"lag 120"'),
    ],
)
def test_a_command_is_judged_by_its_exit_code_and_its_output(
    code: str, more: dict[str, Any], ok: bool, detail: str
) -> None:
    result = ask(python(code, **more))
    assert (result.ok, result.detail.endswith(detail)) == (ok, True), result.detail
    assert result.fault in {None, CheckFault.EXIT, CheckFault.BODY}


def test_the_slot_is_filled_in_for_a_command() -> None:
    assert ask(command("echo", args=("web-${instance}",))).detail == "web-1"


def test_a_command_that_is_not_there_says_so() -> None:
    result = ask(command("no-such-command"))
    assert (result.ok, result.fault) == (False, CheckFault.ERROR)
    assert result.detail.startswith("cannot run 'no-such-command': no such file")


def test_an_environment_that_cannot_be_had_is_a_failed_check() -> None:
    def locate(*_: object) -> Any:
        raise HostError("cannot run web as ghost: this host knows no such user")

    async def exchange() -> CheckResult:
        these = Checks(locate, now)
        return await asked(these, command("true"))

    result = asyncio.run(exchange())
    assert (result.ok, result.fault) == (False, CheckFault.ERROR)
    assert "no such user" in result.detail


def test_h6_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    script = f"sleep 600 & near=$!; setsid sleep 600 & echo $$$$ $near $! > {note}; wait"
    result = ask(command("sh", "-c", script, timeout_s=0.8))
    assert (result.ok, result.fault) == (False, CheckFault.TIMEOUT)
    pids = [int(word) for word in note.read_text().split()]
    assert len(pids) == 3
    until(lambda: not any(map(is_running, pids)))


def test_h6_a_command_that_writes_without_end_is_killed() -> None:
    before = resident_bytes()
    result = ask(command("yes"))
    assert (result.ok, result.fault) == (False, CheckFault.BODY)
    assert result.detail == "it wrote more than 1 MiB"
    assert resident_bytes() - before < 16 << 20


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_check_runs_as_the_user_of_its_service() -> None:
    account = Account(uid=65534, gid=65534, groups=(65534,))
    here = replace(place(), identity=Identity(account=account))

    async def exchange() -> CheckResult:
        return await asked(Checks(lambda *_: here, now), command("id", "-u"))

    assert asyncio.run(exchange()).detail == "65534"


CHECKER = """
import asyncio, ctypes, os, sys, threading, time

def well(**options):
    return None

def options(limit, name):
    return {"sum": limit + 1, "name": name, "color": os.environ["COLOR"]}

def words():
    return "12 jobs wait"

def no():
    return False

def fails():
    raise RuntimeError("the queue is full")

async def later():
    await asyncio.sleep(0)
    return True

def segfault():
    ctypes.string_at(0)

def leaves():
    os._exit(0)

def leaks():
    kept = []
    while True:
        kept.append(bytearray(1 << 20))

def hangs():
    open("pid", "w").write(str(os.getpid()))
    time.sleep(600)

def threads():
    threading.Thread(target=time.sleep, args=(600,)).start()

def talks():
    for _ in range(100_000):
        print("word " * 20)

def object():
    return object
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "queue.py").write_text(CHECKER + "\ncheck = well\n")
    return tmp_path


@pytest.mark.parametrize(
    ("function", "ok", "fault", "detail"),
    [
        ("", True, None, "it passed"),
        (":words", True, None, "12 jobs wait"),
        (":later", True, None, "it passed"),
        (":threads", True, None, "it passed"),
        (":no", False, CheckFault.FAILED, "the checker says no"),
        (":fails", False, CheckFault.FAILED, "RuntimeError: the queue is full"),
        (":missing", False, CheckFault.FAILED, "AttributeError: "),
        (":object", False, CheckFault.FAILED, "it gave function; a checker gives None"),
        (":segfault", False, CheckFault.EXIT, "the checker gave no answer: killed by SIGSEGV"),
        (":leaves", False, CheckFault.EXIT, "the checker gave no answer: exited with 0"),
        (":leaks", False, CheckFault.MEMORY, "it used more than 256 MiB"),
        (":talks", False, CheckFault.BODY, "it wrote more than 1 MiB"),
    ],
)
def test_h15_whatever_a_checker_does_is_a_check_that_passed_or_failed(
    root: Path, function: str, ok: bool, fault: CheckFault | None, detail: str
) -> None:
    before = resident_bytes()
    result = ask(custom(f"checks/queue.py{function}"), root)
    assert (result.ok, result.fault) == (ok, fault), result.detail
    assert result.detail.startswith(detail)
    assert resident_bytes() - before < 16 << 20


def test_h15_a_checker_that_never_returns_is_killed_in_its_time(root: Path) -> None:
    began = time.monotonic()
    result = ask(custom("checks/queue.py:hangs", timeout_s=1.0), root)
    assert time.monotonic() - began < 2.0
    assert (result.ok, result.fault) == (False, CheckFault.TIMEOUT)
    assert result.detail == "no answer within 1 s"
    until(lambda: not is_running(int((root / "pid").read_text())))


def test_a_checker_gets_its_options_and_gives_facts(root: Path) -> None:
    (root / "shop").mkdir()
    (root / "shop" / "checker.py").write_text(CHECKER)
    result = ask(custom("shop.checker:options", limit=2, name="web-${instance}"), root)
    assert result.ok, result.detail
    assert result.facts == {"sum": 3, "name": "web-1", "color": "blue"}


@pytest.mark.parametrize("health", [command("true"), NOBODY], ids=["program", "connection"])
def test_r11_a_host_without_descriptors_is_no_fault_of_the_service(health: HealthCheck) -> None:
    async def exchange() -> CheckResult:
        these = checks()
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            return await asked(these, health)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            await these.close()

    result = asyncio.run(exchange())
    assert (result.ok, result.fault) == (False, CheckFault.HOST), result
    assert "too many open files" in result.detail


def test_a_program_that_hangs_keeps_no_program_of_another_service_waiting() -> None:
    async def exchange() -> CheckResult:
        these = checks()
        hanging = [asyncio.create_task(asked(these, command("sleep", "60"))) for _ in range(40)]
        await asyncio.sleep(0)
        other = Slot(service=ServiceName("other"), index=0)
        result = await asked(these, command("true"), other)
        await these.close()
        for task in hanging:
            task.cancel()
        return result

    result = asyncio.run(exchange())
    assert result.ok
    assert result.took < seconds(1)
