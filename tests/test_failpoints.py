"""Failpoints: nothing unless a test asks for it, and then once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import timeit
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


def test_without_the_switch_a_point_does_nothing(tmp_path: Path) -> None:
    assert run(str(tmp_path), "").stdout == "end\n"
    assert not [*tmp_path.iterdir()]


def test_points_without_a_folder_are_refused_with_a_clear_word() -> None:
    done = run("", "a:kill")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot begin: WEAVER_FAILPOINT" in done.stderr
    assert "needs a folder in WEAVER_FAILPOINT_DIR; unset it" in done.stderr


def test_a_file_arms_a_process_that_runs(tmp_path: Path) -> None:
    armed, folder = tmp_path / "armed", tmp_path / "struck"
    folder.mkdir()
    arm(f"@{armed}", str(folder))
    failpoint("a")
    armed.write_text("a@2:raise")
    failpoint("a")
    with pytest.raises(OSError, match="failpoint a"):
        failpoint("a")
    armed.write_text("b:raise")
    failpoint("a")
    with pytest.raises(OSError, match="failpoint b"):
        failpoint("b")


def test_a_point_that_is_off_costs_next_to_nothing() -> None:
    """The holder passes some twenty of them from a crash to the next start."""
    arm("", "")
    assert min(timeit.repeat(lambda: failpoint("a"), number=1000, repeat=20)) < 1000 * 2e-6


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
