"""A daemon whose holder stands still, and that may open nothing more: nobody is blocked by it."""

from __future__ import annotations

import os
import resource
import signal
import socket
from contextlib import ExitStack

import pytest

from tests.holder.test_hardship import leave_no_descriptor
from tests.real.station import Station, is_alive, python
from tests.waiting import until

pytestmark = pytest.mark.real

DEAF = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True);"
    "time.sleep(1000)"
)
CROWD = 50


def test_p6_and_r7_a_holder_that_stands_still_and_want_of_descriptors_block_nobody(
    here: Station,
) -> None:
    starts = here.root / "starts"
    command = f"/bin/sh -c 'echo x >> {starts}; exec sleep 1000'"
    here.define("web", command, "backoff: {initial: 10ms, jitter: 0ms}\n")
    ready = "ready: {type: logLine, pattern: deaf}\nstopTimeout: 300ms\n"
    here.define("deaf", python(DEAF), ready, quick=False)
    here.up()
    assert here.settle()["exitCode"] == 0
    deaf, holder, daemon = here.pid("deaf"), here.status()["daemon"]["holderPid"], here.daemon_pid
    assert deaf
    assert daemon
    for pid in (deaf, holder):
        os.kill(pid, signal.SIGSTOP)
    here.file("deaf").write_text(here.file("deaf").read_text() + "state: stopped\n")
    until(lambda: here.service("deaf")["state"] == "stopping")
    os.kill(holder, signal.SIGCONT)
    until(lambda: not is_alive(deaf))
    assert here.status()["daemon"]["holderPid"] == holder

    web, before = here.pid("web"), leave_no_descriptor(daemon)
    with ExitStack() as crowd:
        for _ in range(CROWD):
            peer = crowd.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            peer.connect(str(here.paths.socket))
        os.kill(web or 0, signal.SIGKILL)
        until(lambda: starts.read_text() == "x\nx\n")
    resource.prlimit(daemon, resource.RLIMIT_NOFILE, before)
    until(lambda: here.is_running("web"))
    assert here.daemon_pid == daemon
    assert here.instance("web")["restartCount"] == 1
