"""The web stack of the examples with the real nginx, redis and uvicorn."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.examples.stack import PATH, Stack, is_alive
from tests.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.slow]

PROGRAMS = ("nginx", "redis-server", "redis-cli")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    missing = [program for program in PROGRAMS if not shutil.which(program, path=PATH)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; apt-get install nginx redis-server")
    made = Stack.copied(tmp_path / "stack")
    try:
        yield made
    finally:
        made.weaver("down")


def instances_asked(stack: Stack) -> set[str]:
    """Fetch the page a few times and tell who answered."""
    return {stack.page()[0] for _ in range(4)}


def test_nginx_serves_pages_of_both_instances_and_loses_none_when_one_is_killed(
    stack: Stack,
) -> None:
    started = stack.weaver("up", "--detach")
    assert started.returncode == 0, started.stdout + started.stderr

    until(lambda: instances_asked(stack) == {"0", "1"}, message="both instances to answer")
    first, second = stack.page()[1], stack.page()[1]
    assert second > first, "redis counts every visit"

    victim = stack.standing()["app"]["instances"][1]["pid"]
    nginx = stack.standing()["nginx"]["instances"][0]["pid"]
    os.kill(victim, signal.SIGKILL)
    assert instances_asked(stack) <= {"0", "1"}, "nginx sends everything to the one that is left"

    def is_back() -> bool:
        revived = stack.standing()["app"]["instances"][1]
        return bool(revived["ready"]) and revived["pid"] not in (None, victim)

    until(is_back, 20, "the killed instance to come back")
    until(lambda: instances_asked(stack) == {"0", "1"}, message="both to answer again")
    app = stack.standing()["app"]
    assert [each["restartCount"] for each in app["instances"]] == [0, 1]
    assert app["instances"][1]["lastExit"]["signal"] == "SIGKILL"
    assert stack.standing()["nginx"]["instances"][0]["pid"] == nginx, "nginx was left alone"

    ours = stack.pids()
    assert len(ours) >= 6, "a daemon, a holder, redis, nginx and two instances"
    stopped = stack.weaver("down")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    until(lambda: not any(map(is_alive, ours)), message="every process to be gone")
