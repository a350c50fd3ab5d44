"""A service loads its configuration anew without another process, when asked and by itself."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.real.station import Json, Station
from tests.waiting import until

pytestmark = pytest.mark.real

AUTHOR = {"name": "Grace", "email": "grace@example.org"}
SERVER = """\
import pathlib, signal, sys

conf, told = map(pathlib.Path, sys.argv[1:])

def load(*_):
    with told.open("a") as file:
        file.write(conf.read_text().strip() + "\\n")

signal.signal(signal.SIGHUP, load)
load()
while True:
    signal.pause()
"""
"""As nginx does: it reads its configuration at its start and on each SIGHUP."""


def reload(here: Station, *names: str) -> list[Json]:
    return here.tell("/v1/operations", kind="reload", services=list(names))


def events(here: Station, kind: str) -> list[Json]:
    return [one for one in here.ask("/v1/events?limit=1000")["events"] if one["kind"] == kind]


def serving(here: Station, more: str = "") -> Any:
    """Run a server that notes what it loaded, and one that would restart with it."""
    (here.root / "server.py").write_text(SERVER)
    (here.root / "site.conf").write_text("one\n")
    here.define("web", "python3 server.py site.conf loaded", more)
    here.define("proxy", more="dependsOn: {web: {onRestart: restart}}\n")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    told = here.root / "loaded"
    until(told.exists)
    return lambda: told.read_text().split()


def test_a_reload_keeps_every_process_and_is_done_once_for_each_change(here: Station) -> None:
    loaded = serving(here)
    pids = here.pids()

    # Nobody said how: nothing is done, and the mend is told.
    [refused, _] = reload(here, "web")
    assert refused["exitCode"] == 5
    assert "has no `reload`" in refused["title"]
    assert "weaver set web reload.signal=SIGHUP" in refused["mend"]

    said = here.tell(
        "/v1/changes",
        kind="set",
        author=AUTHOR,
        service="web",
        assignments=[
            {"path": "reload.signal", "value": "SIGHUP"},
            {"path": "reloadOn", "value": "[site.conf]"},
        ],
    )
    assert said[-1]["exitCode"] == 0
    assert loaded() == ["one"]

    done = reload(here, "web")
    assert done[-1]["exitCode"] == 0
    assert [one["phase"] for one in done if one["type"] == "action"] == ["start", "done"]
    until(lambda: loaded() == ["one", "one"])

    # Another content reloads; another date does not.
    (here.root / "site.conf").write_text("two\n")
    until(lambda: loaded() == ["one", "one", "two"])
    os.utime(here.root / "site.conf")
    here.define("late")
    until(lambda: here.service("late").get("state") == "running")
    assert loaded() == ["one", "one", "two"]

    # What changed while the daemon was away is noticed on its return, and then no more.
    here.kill_daemon()
    (here.root / "site.conf").write_text("three\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    until(lambda: loaded() == ["one", "one", "two", "three"])
    here.kill_daemon()
    here.up()
    assert here.settle()["exitCode"] == 0
    until(lambda: len(events(here, "service.reloaded")) == 3)
    assert loaded() == ["one", "one", "two", "three"]
    reasons = [one["reason"] for one in events(here, "service.reloaded")]
    assert reasons == ["a reload was asked for", "site.conf changed", "site.conf changed"]
    assert {name: pid for name, pid in here.pids().items() if name != "late-0"} == pids
    assert here.instance("web")["lastReload"] is not None


WRITER = """\
import pathlib, sys, time
import words

print(words.GREETING, flush=True)
if words.GREETING == "noisy":
    pathlib.Path("app/rows.txt").write_text(str(time.time()))
time.sleep(1000)
"""


def test_code_that_changes_runs_at_once_and_what_changes_its_own_is_named(here: Station) -> None:
    app = here.root / "app"
    app.mkdir()
    (app / "main.py").write_text(WRITER)
    (app / "words.py").write_text('GREETING = "one"\n')
    watch = "watch: {paths: [app], delay: 100ms}\nlogFile: app/out-of-web\nenv: {X: '1'}\n"
    here.define("web", "python3 -B app/main.py", watch)
    here.define("api")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    pids, log = here.pids(), app / "out-of-web"
    until(lambda: log.read_text().split() == ["one"])

    (app / "words.py").write_text('GREETING = "two"\n')
    until(lambda: log.read_text().split() == ["one", "two"])
    reasons = [one["reason"] for one in events(here, "service.starting")]
    assert reasons[-1] == "app/words.py changed"
    assert here.pid("api") == pids["api-0"]

    (app / "words.py").write_text('GREETING = "noisy"\n')
    until(lambda: events(here, "watch.held"))
    [held] = events(here, "watch.held")
    assert held["reason"].startswith("watch: web changes its own files (app/rows.txt)")
    until(lambda: here.service("web")["reason"] == held["reason"])
    until(lambda: log.read_text().split() == ["one", "two", *["noisy"] * 4])

    # What others change restarts it all the same.
    (app / "words.py").write_text('GREETING = "three"\n')
    until(lambda: log.read_text().split()[-1] == "three")


def test_a_signal_that_ends_who_does_not_handle_it_is_no_reload(here: Station) -> None:
    here.define("web", "sleep 1000", "reload: {signal: SIGHUP}\n")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    said = reload(here, "web")
    assert said[-1]["exitCode"] == 4
    [problem] = [one for one in said if one["type"] == "problem"]
    assert problem["title"] == (
        "web is not as wanted: SIGHUP ended it, as it ends what does not handle it"
    )
    assert here.settle()["exitCode"] == 0


def test_a_reload_by_a_command_is_told_as_it_ended_and_outlives_the_daemon(here: Station) -> None:
    root = here.root
    (root / "site.conf").write_text("one\n")
    os.mkfifo(root / "gate")
    command = 'echo "$WEAVER_HOOK $WEAVER_MAIN_PID $(cat site.conf)" >> ran; read code < gate; '
    here.define(
        "web",
        more=f"reloadOn: site.conf\nreload: {{command: '{command} exit $code', shell: true}}\n",
    )
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    pid, ran = here.pid("web"), root / "ran"

    def answer(code: int) -> None:
        (root / "gate").write_text(f"{code}\n")

    # While one runs, whatever asks for another is done by one more, and the daemon may die.
    (root / "site.conf").write_text("two\n")
    until(ran.exists)
    (root / "site.conf").write_text("three\n")
    assert [one["name"] for one in here.instance("web")["hooks"]] == ["reload"]
    here.kill_daemon()
    here.up()
    until(lambda: here.service("web").get("reason", "").startswith("reloading"))
    answer(0)
    until(lambda: len(ran.read_text().splitlines()) == 2)
    answer(3)
    until(lambda: events(here, "service.reload-failed"))
    assert ran.read_text().splitlines() == [f"reload {pid} two", f"reload {pid} three"]
    assert [one["reason"] for one in events(here, "service.reloaded")] == ["site.conf changed"]
    [failed] = events(here, "service.reload-failed")
    said = "its command exited with 3"
    assert failed["reason"] == f"{said} (site.conf changed); it goes on as it was"
    assert here.service("web")["reason"] == f"runs on as it was: its reload failed: {said}"
    assert here.pids() == {"web-0": pid}
