"""The command line with a real daemon: what transcripts cannot pin word for word."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler import __version__
from tests.cli.shell import ROOT, started, surroundings, weaver
from tests.waiting import until

pytestmark = [pytest.mark.real]

SLEEPER = "name: web\ncommand: sleep 1000\nready: {type: delay, delay: 10ms}\n"

NEWER = "99.0.0"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Give a repository with one service; whatever runs of it afterwards is ended."""
    folder = tmp_path / "home"
    (folder / "services.d").mkdir(parents=True)
    (folder / "services.d" / "web.yaml").write_text(SLEEPER)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=folder, check=True)
    try:
        yield folder
    finally:
        weaver("down", cwd=folder)


def state(home: Path) -> dict[str, Any]:
    """Give `status -o json`."""
    found: dict[str, Any] = json.loads(weaver("status", "-o", "json", cwd=home).stdout)
    return found


def pid(home: Path) -> int:
    """Give the pid of the one service."""
    found: int = state(home)["services"][0]["instances"][0]["pid"]
    return found


def test_up_beside_a_live_daemon_waits_and_reports_the_same(home: Path) -> None:
    assert weaver("up", "--detach", cwd=home).returncode == 0
    daemon = state(home)["daemon"]["pid"]
    said = weaver("up", "--detach", cwd=home)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("1 service as wanted after ")
    assert state(home)["daemon"]["pid"] == daemon


def test_a_second_daemon_in_front_is_refused_and_names_the_first(home: Path) -> None:
    weaver("up", "--detach", cwd=home)
    said = weaver("up", cwd=home)
    assert said.returncode == 10
    assert str(state(home)["daemon"]["pid"]) in said.stderr


def newer(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `weaver` of an installation that is newer than ours."""
    folder = home.parent / "newer"
    if not folder.exists():
        for name in ("reconciler", "schemas"):
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / name, ignore=skipped)
        init = folder / "reconciler" / "__init__.py"
        init.write_text(init.read_text().replace(__version__, NEWER))
    return weaver(*words, cwd=home, env={"PYTHONPATH": str(folder)})


def test_p14_a_newer_version_takes_over_both_in_place_and_the_way_back_is_as_quiet(
    home: Path,
) -> None:
    weaver("up", "--detach", cwd=home)
    before, service = state(home)["daemon"], pid(home)
    said = newer(home, "up", "--detach")
    assert said.returncode == 0, said.stderr
    assert "takes over" in said.stderr
    after = state(home)["daemon"]
    assert (after["version"], after["holderPid"]) == (NEWER, before["holderPid"])
    log = (home / ".weaver" / "holder.log").read_text()
    assert f"of {home.parent}/newer/reconciler/holder/__main__.py goes on with 1 runs" in log
    assert pid(home) == service
    # An older daemon works with the newer holder, and brings its own back in only if asked to.
    assert weaver("down", "--keep-services", cwd=home).returncode == 0
    assert weaver("up", "--detach", cwd=home).returncode == 0
    said = weaver("reexec", cwd=home)
    assert said.returncode == 0, said.stderr
    daemon = state(home)["daemon"]
    assert said.stdout.endswith(
        f"weaver {__version__} goes on: daemon {daemon['pid']}, holder {before['holderPid']}\n"
    )
    log = (home / ".weaver" / "holder.log").read_text()
    assert log.rstrip().endswith("reconciler/holder/__main__.py goes on with 1 runs")
    assert pid(home) == service


def test_down_that_keeps_services_leaves_them_for_the_next_daemon(home: Path) -> None:
    weaver("up", "--detach", cwd=home)
    service = pid(home)
    assert weaver("down", "--keep-services", cwd=home).returncode == 0
    os.kill(service, 0)
    assert weaver("up", "--detach", cwd=home).returncode == 0
    assert pid(home) == service


def test_up_says_what_did_not_converge_and_that_services_go_on(home: Path) -> None:
    (home / "services.d" / "bad.yaml").write_text("name: bad\ncommand: 'false'\nmaxRestarts: 0\n")
    said = weaver("up", "--detach", cwd=home)
    assert said.returncode == 4
    assert "bad is not as wanted" in said.stderr
    late = home / "services.d" / "bad.yaml"
    late.write_text("name: bad\ncommand: sleep 1000\nready: {type: tcp, tcp: {port: 9}}\n")
    said = weaver("up", "--detach", "--timeout", "500ms", cwd=home)
    assert said.returncode == 9


def test_a_daemon_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "services.d").mkdir()
    said = weaver("up", "--detach", cwd=tmp_path)
    assert said.returncode == 6
    assert "git" in said.stderr
    assert "mend: " in said.stderr


def test_the_daemon_holds_none_of_the_callers_descriptors(home: Path) -> None:
    """A pipe that the daemon held would keep this command from ending."""
    said = subprocess.run(
        f"{sys.executable} -m reconciler up --detach | cat",
        shell=True,
        cwd=home,
        env=surroundings(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert said.stdout.startswith("1 service as wanted")


def test_ctrl_c_in_front_stops_services_and_leaves(home: Path) -> None:
    with started("up", cwd=home) as process:
        until(lambda: weaver("wait", "--all", "--for", "ready", cwd=home).returncode == 0, 30)
        service = pid(home)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "web          ready" in said
    assert "stopping everything in order" in said
    with pytest.raises(ProcessLookupError):
        os.kill(service, 0)


def test_ctrl_c_while_waiting_gives_8_and_the_change_goes_on(home: Path) -> None:
    weaver("up", "--detach", cwd=home)
    (home / "slow.yaml").write_text(
        "name: slow\ncommand: sleep 1000\nready: {type: tcp, tcp: {port: 9}}\n"
    )

    def is_starting() -> bool:
        return any(
            (service["name"], service["state"]) == ("slow", "starting")
            for service in state(home)["services"]
        )

    with started("register", "-f", "slow.yaml", cwd=home) as process:
        until(is_starting, 30)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 8
    assert "goes on in the daemon" in said
    assert is_starting()


def test_run_gives_the_command_the_services_environment_and_its_exit_code(home: Path) -> None:
    (home / "services.d" / "web.yaml").write_text(f"{SLEEPER}env: {{MSG: hello}}\ncwd: app\n")
    (home / "app").mkdir()
    weaver("up", "--detach", cwd=home)
    said = weaver(
        "run",
        "web",
        "--",
        "sh",
        "-c",
        "echo $MSG $WEAVER_SERVICE; pwd; exit 3",
        cwd=home,
        env={"LEAK": "1"},
    )
    assert (said.returncode, said.stdout) == (3, f"hello web\n{home.resolve()}/app\n")
    assert "LEAK" not in weaver("run", "web", "--", "env", cwd=home, env={"LEAK": "1"}).stdout


@pytest.mark.parametrize("answer", ["n\n", ""], ids=["no", "nobody to ask"])
def test_an_edit_that_is_wrong_is_refused_and_may_be_mended(home: Path, answer: str) -> None:
    weaver("up", "--detach", cwd=home)
    before = (home / "services.d" / "web.yaml").read_text()
    editor = {"EDITOR": "sed -i s/^command/comand/"}
    said = weaver("edit", "web", cwd=home, env=editor, stdin=answer)
    assert said.returncode == 2
    assert "did you mean `command`?" in said.stderr
    assert (home / "services.d" / "web.yaml").read_text() == before


def test_an_edit_lands_as_a_commit(home: Path) -> None:
    subprocess.run(["git", "add", "-A"], cwd=home, check=True)
    weaver("up", "--detach", cwd=home)
    said = weaver("edit", "web", cwd=home, env={"EDITOR": "sed -i s/1000/999/"})
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("web: edit - done in ")
    assert "sleep 999" in (home / "services.d" / "web.yaml").read_text()
    unchanged = weaver("edit", "web", cwd=home, env={"EDITOR": "true"})
    assert (unchanged.returncode, unchanged.stderr) == (0, "web: nothing changed\n")


def test_the_log_of_a_daemon_that_is_gone_can_still_be_read(home: Path) -> None:
    weaver("up", "--detach", cwd=home)
    weaver("down", cwd=home)
    said = weaver("logs", "--daemon", cwd=home)
    assert said.returncode == 0
    assert "begins" in said.stdout
    assert weaver("logs", "web", cwd=home).returncode == 11


def test_names_are_completed_by_the_daemon(home: Path) -> None:
    weaver("up", "--detach", cwd=home)
    words = {"_WEAVER_COMPLETE": "bash_complete", "COMP_WORDS": "weaver stop w", "COMP_CWORD": "2"}
    assert weaver(cwd=home, env=words).stdout == "plain,web\n"


def test_events_follow_as_text_and_as_json(home: Path) -> None:
    weaver("up", "--detach", cwd=home)
    for output, mark in (("text", "ready"), ("json", '"kind": "service.ready"')):
        with started("events", "-f", "-o", output, cwd=home) as process:
            assert process.stdout is not None
            assert any(mark in line for line in process.stdout)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)
        assert process.returncode in {0, 8}
