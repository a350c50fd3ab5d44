"""The host's hooks in a real daemon: told of what happens, and asked before it is done."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.shell import weaver
from tests.real.station import Json, Station, is_alive
from tests.waiting import until

pytestmark = pytest.mark.real

RECORD = """#!/bin/sh
exec cat >> "$PWD/told"
"""
ASK = """#!/bin/sh
read -r told
test ! -e "$PWD/closed" || { echo closed for today; exit 1; }
"""
SETTINGS = """\
hooks:
  pre-service-start: {command: ./ask, timeout: 5s}
  pre-service-stop: ./ask
  post-service-start: ./record
  post-service-stop: ./record
  post-git-commit: ./record
  notify: ./missing
"""


LINGER = """#!/bin/sh
setsid sh -c 'echo $$ > "$PWD/away"; exec sleep 300' &
echo $$ > "$PWD/own"
exec sleep 300
"""


def told(here: Station) -> list[Json]:
    file = here.root / "told"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def test_hooks_of_the_host_are_told_and_two_of_them_may_refuse(here: Station) -> None:
    write(here.root / "ask", ASK)
    write(here.root / "record", RECORD)
    (here.root / "weaver.yaml").write_text(SETTINGS)
    closed = here.root / "closed"
    closed.touch()
    here.define("web")
    here.commit()
    here.up()
    until(lambda: here.service("web").get("reasonCode") == "Refused")
    held = here.service("web")
    assert "refused by pre-service-start: exited with 1: closed for today" in held["reason"]
    assert here.instance("web")["restartCount"] == 0
    said = weaver("doctor", cwd=here.root).stdout
    assert "./missing is not there" in said
    closed.unlink()
    until(lambda: here.is_running("web"), seconds=20)
    until(lambda: [one["hook"] for one in told(here)] == ["post-service-start"])
    pid = here.pid("web")
    closed.touch()
    assert weaver("stop", "web", "--no-wait", cwd=here.root).returncode == 0
    until(lambda: here.service("web").get("reasonCode") == "Refused")
    assert "refused by pre-service-stop" in here.service("web")["reason"]
    assert here.pid("web") == pid
    # A change of weaver.yaml counts at once: nobody is asked any more.
    settings = SETTINGS.replace("  pre-service-stop: ./ask\n", "")
    (here.root / "weaver.yaml").write_text(settings)
    until(lambda: here.service("web").get("state") == "stopped", seconds=20)
    until(lambda: len(told(here)) == 3)
    hooks = {one["hook"]: one for one in told(here)}
    assert set(hooks) == {"post-service-start", "post-git-commit", "post-service-stop"}
    assert hooks["post-git-commit"]["data"]["op"] == "stop"
    assert hooks["post-service-stop"]["instance"] == "web-0"
    events = weaver("events", cwd=here.root).stdout
    assert "cannot run ./missing: no such file or directory" in events


def test_a_hook_that_runs_as_the_daemon_is_killed_is_ended_by_the_next_one(here: Station) -> None:
    write(here.root / "linger", LINGER)
    (here.root / "weaver.yaml").write_text("hooks:\n  post-service-start: ./linger\n")
    here.define("web")
    here.commit()
    here.up()
    notes = [here.root / "own", here.root / "away"]
    until(lambda: all(note.exists() and note.read_text() for note in notes))
    left = [int(note.read_text()) for note in notes]
    assert all(map(is_alive, left))
    web, former = here.pid("web"), here.daemon_pid
    assert former is not None
    os.kill(former, signal.SIGKILL)
    until(lambda: not is_alive(former))
    assert all(map(is_alive, left))
    here.up()
    until(lambda: not any(map(is_alive, left)))
    until(lambda: here.is_running("web"), seconds=20)
    assert here.pid("web") == web
    until(lambda: not [*here.paths.hooks.iterdir()])
