"""The daemon under somebody else: as a unit of systemd, and as the first process of a container."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from reconciler.cli.reappearing import listens
from tests.real.station import Station, environment_of, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real

ROOT = Path(__file__).parents[2]


@contextmanager
def up(here: Station, *before: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `weaver up` in front."""
    command = [*before, sys.executable, "-m", "reconciler", "-C", str(here.root), "up"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_p17_a_unit_hears_when_it_is_ready_alive_and_about_to_end(
    here: Station, tmp_path: Path
) -> None:
    here.define("web")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(str(tmp_path / "notify"))
        supervisor.settimeout(10)

        def heard(word: str) -> None:
            while word not in supervisor.recv(4096).decode().split("\n"):
                pass

        told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
        with up(here, **told) as daemon:
            heard("READY=1")
            heard("WATCHDOG=1")
            until(lambda: here.is_running("web"))
            service = here.pid("web") or 0
            holder = here.status()["daemon"]["holderPid"]
            for pid in (service, holder):
                assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & environment_of(pid).keys()
            # As a loop that is blocked: no sign of life comes, and its unit would restart it.
            os.kill(daemon.pid, signal.SIGSTOP)
            supervisor.settimeout(0.3)
            with pytest.raises(TimeoutError):
                heard("never")
            os.kill(daemon.pid, signal.SIGCONT)
            supervisor.settimeout(10)
            heard("WATCHDOG=1")
            assert here.tell("/v1/reexec")[-1]["exitCode"] == 0
            heard("RELOADING=1")
            heard("READY=1")
            heard("WATCHDOG=1")
            until(lambda: runs(here))
            assert here.pid("web") == service
            daemon.send_signal(signal.SIGTERM)
            heard("STOPPING=1")
            assert daemon.wait(20) == 0


def runs(here: Station) -> bool:
    """Tell whether a daemon answers and its service runs; one may just be coming or going."""
    with suppress(OSError, http.client.HTTPException):
        return listens(str(here.paths.socket), 1.0) and here.is_running("web")
    return False


def inner(process: subprocess.Popen[bytes]) -> int:
    """Give the pid, as seen from here, of the first process of a namespace."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return int(until(lambda: children.read_text().split())[0])


def commanded(words: str) -> list[int]:
    """Find processes by their command."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip() == words:
                found.append(int(folder.name))
    return found


def test_as_the_first_process_it_reaps_brings_back_and_hands_signals_on(here: Station) -> None:
    if os.geteuid():
        pytest.skip("needs the right to make a pid namespace")
    here.define("web", "sleep 98.765", "backoff: {initial: 10ms, jitter: 0ms}\n")
    with up(here, "unshare", "-p", "-f", "--mount-proc", "--kill-child") as outside:
        first = inner(outside)
        until(lambda: runs(here), 30)
        (web,) = commanded("sleep 98.765")
        daemon = until(lambda: Path(f"/proc/{first}/task/{first}/children").read_text().split())[0]
        # The daemon killed: it is brought back, and its service is the same.
        os.kill(int(daemon), signal.SIGKILL)
        until(lambda: not is_alive(int(daemon)))
        until(lambda: runs(here), 30)
        assert commanded("sleep 98.765") == [web]
        # An orphan of a dead holder is the first process's to collect.
        (holder,) = holders(first)
        os.kill(holder, signal.SIGKILL)
        os.kill(web, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{web}").exists())
        until(lambda: runs(here))
        assert here.instance("web")["lastExit"]["signal"] in ("SIGKILL", None)
        # A signal to the first process ends all of it in order.
        os.kill(first, signal.SIGTERM)
        assert outside.wait(20) == 0
    assert not commanded("sleep 98.765")
    assert here.daemon_pid is None


def holders(first: int) -> list[int]:
    """Find the holder of a namespace by its name."""
    space = Path(f"/proc/{first}/ns/pid").readlink()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name = (folder / "comm").read_text().strip()
            if name == "weaver-holder" and (folder / "ns" / "pid").readlink() == space:
                found.append(int(folder.name))
    return found
