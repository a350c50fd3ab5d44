"""The holder brings a daemon back that died, and nobody else's."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cli import reappearing
from reconciler.cli.reappearing import listens
from reconciler.ports import ConflictError
from reconciler.runtime.home import is_held
from tests.cli.shell import call, weaver
from tests.real.station import Station, UnixConnection, environment_of, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real


def begun(here: Station) -> dict[str, int | None]:
    """Bring up a daemon in the background that is to come back."""
    here.options = replace(here.options, comes_back=True)
    here.define("web", more="instances: 2\nbackoff: {initial: 10ms, jitter: 0ms}\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    return here.pids()


def back(here: Station, after: int | None) -> int:
    """Wait for a daemon other than one that was killed, until it answers."""
    pid = until(lambda: here.daemon_pid if here.daemon_pid != after else None)
    until(lambda: listens(str(here.paths.socket), 1.0))
    until(lambda: here.is_running("web"))
    assert pid
    return pid


def test_a_killed_daemon_is_brought_back_at_once_and_says_so(
    here: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEAVER_RUN", "of-whoever-called")
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    before, first = begun(here), here.daemon_pid
    starts = len([e for e in here.events() if e["kind"] == "service.starting"])
    os.kill(first or 0, signal.SIGKILL)
    second = until(lambda: here.daemon_pid if here.daemon_pid != first else None)
    assert back(here, first) == second
    # The rest of the 2 s that it may take is for Python to begin, however busy this host is.
    assert f"after 0.2 s it was started again, pid {second}" in here.paths.holder_log.read_text()
    assert here.pids() == before
    assert len([e for e in here.events() if e["kind"] == "service.starting"]) == starts
    until(lambda: any(e["kind"] == "daemon.brought-back" for e in here.events()))
    words = "the last one was killed by SIGKILL"
    until(lambda: here.status()["daemon"]["broughtBack"] == words)
    text = " ".join(here.text("/v1/status?format=table&width=120").split())
    assert "the daemon was brought back" in text
    assert any(words in found["text"] for found in here.ask("/v1/doctor?format=json")["findings"])
    # It belongs to no service: a session of its own, and nothing of its caller's surroundings.
    assert os.getsid(second or 0) == second
    assert not {"WEAVER_RUN", "NOTIFY_SOCKET"} & environment_of(second or 0).keys()


def test_one_that_is_killed_again_and_again_is_back_after_the_first_pause_each_time(
    here: Station,
) -> None:
    before, latest = begun(here), here.daemon_pid
    for _ in range(2):
        os.kill(latest or 0, signal.SIGKILL)
        latest = back(here, latest)
    log = here.paths.holder_log.read_text()
    assert log.count("after 0.2 s it was started again") == 2, log
    assert here.pids() == before


def test_an_exit_while_the_daemon_was_away_is_told_and_one_that_says_goodbye_stays_away(
    here: Station,
) -> None:
    before, first = begun(here), here.daemon_pid
    os.kill(first or 0, signal.SIGKILL)
    os.kill(before["web-0"] or 0, signal.SIGSEGV)
    second = back(here, first)
    until(lambda: here.instance("web")["lastExit"] is not None)
    assert here.instance("web")["lastExit"]["signal"] == "SIGSEGV"
    assert here.pid("web", 1) == before["web-1"]
    # Leaving in order is no death.
    here.tell("/v1/shutdown", keepServices=True)
    until(lambda: not is_held(here.paths.daemon_lock))
    until(lambda: not is_alive(second))
    journal = here.paths.journal.read_text()
    assert journal.splitlines()[-1] == '{"is":"daemon","plan":null}'


def test_one_that_dies_at_once_again_and_again_is_tried_less_and_less_often(
    here: Station, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, first = begun(here), here.daemon_pid
    config = here.root / ".git"
    away = tmp_path / "git"
    config.rename(away)
    os.kill(first or 0, signal.SIGKILL)
    log = here.paths.holder_log
    until(lambda: log.read_text().count("before it said hello") >= 2)
    assert "exited with 6 before it said hello" in log.read_text()
    assert "again in 0.4 s" in log.read_text()
    assert "again in 0.8 s" in log.read_text()
    assert "after 0.4 s it was started again" in log.read_text()
    # Who asks meanwhile is told that it is hopeless, and where to read why.
    monkeypatch.setattr(reappearing, "WITHIN_S", 0.1)
    said = call("status", cwd=here.root)
    assert said.returncode == 11
    assert "ends again and again before it answers" in said.stderr
    assert "not a git repository" in call("logs", "--daemon", cwd=here.root).stdout
    away.rename(config)
    back(here, first)
    assert here.pids() == before


def test_of_several_who_start_one_exactly_one_wins(here: Station) -> None:
    before, first = begun(here), here.daemon_pid
    os.kill(first or 0, signal.SIGKILL)
    with suppress(ConflictError):
        here.up()  # while the holder does
    until(lambda: len(daemons(here)) == 1)
    assert daemons(here) == [here.daemon_pid]
    back(here, first)
    assert here.pids() == before


def test_both_programs_are_replaced_in_place_and_nobody_notices(here: Station) -> None:
    before, daemon = begun(here), here.daemon_pid
    holder = here.status()["daemon"]["holderPid"]
    stream = UnixConnection(str(here.paths.socket))
    stream.request("GET", "/v1/events?follow=1")
    following = stream.getresponse()
    said = here.tell("/v1/reexec")
    assert said[-1]["exitCode"] == 0, said
    assert b": the daemon replaces itself; connect again\nretry: " in following.read()
    stream.close()
    until(lambda: listens(str(here.paths.socket), 1.0))
    until(lambda: here.is_running("web"))
    assert here.daemon_pid == daemon
    assert here.status()["daemon"]["holderPid"] == holder
    assert "goes on with 2 runs" in here.paths.holder_log.read_text()
    assert here.pids() == before
    kinds = [e["kind"] for e in here.events("web")]
    assert (kinds.count("service.starting"), kinds.count("service.adopted")) == (2, 2)
    assert here.status()["daemon"]["broughtBack"] is None
    # It is known as before: killed, it is brought back.
    os.kill(daemon or 0, signal.SIGKILL)
    back(here, daemon)
    assert here.pids() == before
    words = "the last one was killed by SIGKILL"
    until(lambda: here.status()["daemon"]["broughtBack"] == words)


def daemons(here: Station) -> list[int]:
    """Find every daemon of this repository."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_text().split("\0")
            if "reconciler.app.detached" in words and str(here.root) in words:
                found.append(int(folder.name))
    return found


def test_who_asks_during_a_comeback_waits_for_it_and_is_answered(here: Station) -> None:
    begun(here)
    os.kill(here.daemon_pid or 0, signal.SIGKILL)
    said = weaver("status", cwd=here.root)
    assert (said.returncode, "web" in said.stdout) == (0, True), said.stderr
    # Nobody waits for one that left in order, though the holder is there yet.
    assert weaver("down", "--keep-services", cwd=here.root).returncode == 0
    until(lambda: not is_held(here.paths.daemon_lock))
    assert here.is_held
    assert not reappearing.is_expected(str(here.root))
    said = weaver("status", cwd=here.root)
    assert (said.returncode, "no daemon runs" in said.stderr) == (11, True)


def test_a_down_during_a_comeback_waits_for_it_and_stops_everything(here: Station) -> None:
    pids, first = begun(here), here.daemon_pid
    os.kill(first or 0, signal.SIGKILL)
    said = weaver("down", cwd=here.root)
    assert said.returncode == 0, said.stderr
    until(lambda: not any(map(is_alive, pids.values())))
    assert here.daemon_pid is None
