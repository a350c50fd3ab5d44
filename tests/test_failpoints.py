"""Failpoints: nothing unless a test asks for it, and then once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.failpoints import arm, failpoint


@pytest.fixture(autouse=True)
def _disarmed() -> object:
    yield
    arm("", "")


def run(folder: str, text: str) -> subprocess.CompletedProcess[str]:
    """Pass two points in a process of its own, twice each."""
    program = (
        "from reconciler.failpoints import failpoint as f\nfor n in 'abab': f(n)\nprint('end')"
    )
    env = {**os.environ, "WEAVER_FAILPOINT": text, "WEAVER_FAILPOINT_DIR": folder}
    return subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )


def test_without_the_switch_a_point_does_nothing() -> None:
    assert run("", "a:kill,b:raise").stdout == "end\n"


def test_a_point_strikes_once_whichever_process_passes_it(tmp_path: Path) -> None:
    assert run(str(tmp_path), "b:kill").returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert run(str(tmp_path), "b:kill").stdout == "end\n"


def test_a_point_can_strike_at_a_later_pass(tmp_path: Path) -> None:
    arm("a@3:raise", str(tmp_path))
    failpoint("a")
    failpoint("a")
    with pytest.raises(OSError, match="failpoint a"):
        failpoint("a")


def test_a_point_can_fail_and_wait(tmp_path: Path) -> None:
    arm("rotate.copied:raise,rotate.punched:sleep:0.01", str(tmp_path))
    with pytest.raises(OSError, match="failpoint"):
        failpoint("rotate.copied")
    failpoint("rotate.copied")
    failpoint("rotate.punched")
    assert len(list(tmp_path.iterdir())) == 2


def test_an_action_that_is_none_is_refused(tmp_path: Path) -> None:
    arm("a:explode", str(tmp_path))
    with pytest.raises(ValueError, match="explode"):
        failpoint("a")
