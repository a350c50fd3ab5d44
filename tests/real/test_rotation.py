"""Rotation by a real daemon, of real services."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.logs.test_rotation import all_of
from tests.real.station import Station, python
from tests.waiting import until

pytestmark = pytest.mark.real

PROGRAM = """
import os, time
n = 0
while True:
    os.write(1, b"".join(b"%09d a line of the service\\n" % k for k in range(n, n + 100)))
    n += 100
    time.sleep(0.01)
"""

DONE = "for n in range(4000): print(f'{n:09} a line of a program that is done soon')"


def numbers(log: Path) -> list[int]:
    whole = all_of(log).rpartition(b"\n")[0]
    return [int(line[:9]) for line in whole.splitlines()]


def rotated_of(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("0.log.0*")]


def test_logs_are_rotated_while_the_daemon_dies_and_comes_back(here: Station) -> None:
    """T1, R15: no line is lost, and the service is the same process all the time."""
    (here.root / "say.py").write_text(PROGRAM)
    here.define("web", f"{sys.executable} say.py", "logRotation: {maxSize: 64K, maxFiles: 999}\n")
    here.define("job", python(DONE), "type: oneshot\nlogRotation: {maxSize: 64K}\n", quick=False)
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    before = here.instance("web")
    folder = here.paths.logs / "web"
    until(lambda: list(folder.glob("0.log.0*")), 30, "a rotated file")
    here.kill_daemon()
    here.up()
    rotated = len(list(folder.glob("0.log.0*")))
    until(lambda: len(list(folder.glob("0.log.0*"))) > rotated, 30, "another one")
    after = here.instance("web")
    assert (after["pid"], after["restartCount"]) == (before["pid"], 0)
    job = here.paths.logs / "job"
    until(lambda: (names := rotated_of(job)) and all(name.endswith(".gz") for name in names), 30)
    # Only one process may read while it rotates, the daemon itself; so it dies before others read.
    here.kill_daemon()
    found = numbers(folder / "0.log")
    assert found == list(range(len(found)))
    assert numbers(job / "0.log") == list(range(4000))
