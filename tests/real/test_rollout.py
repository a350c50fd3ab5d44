"""New versions of real servers behind one socket, while somebody calls it all the time."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.real.calling import Caller
from tests.real.servers import free_ports
from tests.real.station import Json, Station
from tests.waiting import until

pytestmark = pytest.mark.real

SERVER = """
import os, select, signal, socket, sys, time
if sys.argv[1] == "bad":
    print("cannot serve", flush=True)
    sys.exit(3)
if sys.argv[1] == "hangs":
    time.sleep(1000)
door, (wake, told) = socket.socket(fileno=3), socket.socketpair()
door.setblocking(False)
told.setblocking(False)
signal.signal(signal.SIGTERM, lambda *_: None)
signal.set_wakeup_fd(told.fileno())
open(f"{os.environ['WEAVER_INSTANCE']}.ready", "w").close()
while wake not in select.select([door, wake], [], [])[0]:
    try:
        guest, _ = door.accept()
    except BlockingIOError:
        continue
    guest.settimeout(10)
    guest.recv(65536)
    guest.sendall(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n")
    guest.close()
"""
COUNT = 3
STEER, OURS = "/v1/operations", {"kind": "rollout", "service": "web"}


class Shop:
    """A server of three instances behind one port."""

    def __init__(self, here: Station, port: int) -> None:
        self._here, self._port = here, port
        (here.root / "server.py").write_text(SERVER)

    def brings(self, version: str, more: str = "") -> None:
        """Have a version wanted."""
        listen = f"sockets: [{{listen: 'tcp://127.0.0.1:{self._port}'}}]\n"
        settings = f"instances: {COUNT}\nupdate: {{minReady: 100ms{more}}}\n"
        command = f"{sys.executable} server.py {version}"
        self._here.define("web", command, listen + settings + READY, quick=False)

    @property
    def rollout(self) -> Json:
        """Give the rollout of the service; empty where none is under way."""
        found = self._here.ask("/v1/rollouts?format=json")["rollouts"]
        return found[0] if found else {}

    def has(self, version: str, slots: int = COUNT) -> bool:
        """Tell whether so many processes of a version run, and no others."""
        return sorted(self.versions()) == [version] * slots

    def versions(self) -> list[str]:
        """Give the version of each process of ours that runs, whoever knows of it."""
        ours = str(self._here.root)
        return [words[2] for words in _commands(ours) if words[1:2] == ["server.py"]]


READY = """\
ready: {type: file, path: "${instance}.ready", interval: 50ms}
stopTimeout: 2s
startTimeout: 60s
"""


def _commands(folder: str) -> Iterator[list[str]]:
    for one in Path("/proc").iterdir():
        try:
            if one.name.isdigit() and str((one / "cwd").readlink()) == folder:
                yield (one / "cmdline").read_bytes().decode().split("\0")
        except OSError:
            continue


def told(here: Station, kind: str) -> int:
    """Give how often something was told of the service."""
    return [one["kind"] for one in here.events("web")].count(kind)


@contextmanager
def shop(here: Station) -> Iterator[tuple[Shop, Caller]]:
    """Give a shop that serves its first version, and somebody who calls it all the time."""
    [port] = free_ports(1)
    made = Shop(here, port)
    made.brings("v1")
    here.up()
    assert here.settle()["exitCode"] == 0, here.status()
    caller = Caller(port)
    try:
        caller.is_served_again()
        yield made, caller
    finally:
        caller.stop()
    assert not {"refused", "dropped"} & caller.counts.keys(), caller.counts


def test_no_request_is_lost_whatever_dies_in_the_middle_of_a_rollout(here: Station) -> None:
    with shop(here) as (web, caller):
        web.brings("v2")
        until(lambda: "v2" in web.versions())
        here.kill_daemon()
        here.up()
        until(lambda: web.versions().count("v2") > 1)
        holder = here.status()["daemon"]["holderPid"]
        os.kill(holder, signal.SIGKILL)
        until(lambda: web.has("v2"), 30)
        assert here.settle()["exitCode"] == 0
        assert web.rollout == {}
        said = here.tell("/v1/operations", kind="restart", services=["web"])
        assert said[-1]["exitCode"] == 0, said
        caller.is_served_again()
        assert web.has("v2")


def test_a_version_that_fails_is_kept_away_until_somebody_wants_it(here: Station) -> None:
    with shop(here) as (web, caller):
        before = here.pids()
        web.brings("bad")
        until(lambda: web.rollout.get("phase") == "paused")
        assert "exited with 3" in web.rollout["reason"]
        assert here.settle()["exitCode"] != 0
        assert web.has("v1")
        assert here.pids() == before
        assert told(here, "service.crashed") == 1
        *_, problem, said = here.tell(STEER, **OURS, steer="resume")
        assert told(here, "rollout.failed") == 2
        assert (said["exitCode"], problem["logTail"]) == (4, ["cannot serve"] * 2)
        assert here.tell(STEER, **OURS, steer="undo")[-1]["exitCode"] == 0
        assert web.rollout["phase"] == "undone"
        assert here.pids() == before
        # One that hangs is no obstacle to the next one: that would have to wait for a minute.
        web.brings("hangs")
        until(lambda: "hangs" in web.versions())
        web.brings("v3")
        until(lambda: "v3" in web.versions(), 10)
        until(lambda: web.has("v3"), 30)
        caller.is_served_again()


def test_a_version_that_failed_is_taken_out_of_the_manifest_by_one_commit(here: Station) -> None:
    """It is left while it is only saved, and whoever wants it again gets it out once more."""
    with shop(here) as (web, _):
        reverts = ", onFailure: rollback, revert: true"
        web.brings("v1", reverts)
        good, before = here.commit(), here.pids()
        web.brings("bad", reverts)
        log = here.paths.daemon_log
        until(lambda: "web is left as it is: it was saved, and not committed" in log.read_text())
        assert web.rollout["phase"] == "undone"
        assert "server.py bad" in here.file("web").read_text()
        for first, named in ((True, good), (False, "")):
            if not first:
                web.brings("bad", reverts)
            here.commit()
            until(lambda: here.git("status", "--porcelain", "services.d") == "")
            until(lambda: "server.py v1" in here.file("web").read_text())
            until(lambda: web.rollout == {})
            said = here.git("log", "-1", "--format=%an: %B")
            assert f"Weaver: web: go back to {named[:7]}" in said
        assert "a new version failed\n\nWeaver-Op: rollback" in said
        assert "Weaver-Services: web\nWeaver-Reason: this version failed before" in said
        assert here.git("log", "--format=%an", f"{good}..").split() == ["Weaver", "Ada"] * 2
        assert here.git("diff", good, "--", "services.d") == ""
        assert here.pids() == before
