"""What goes wrong around a daemon: it says so in clear words, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from reconciler.cli import reappearing
from tests.cli.shell import call, weaver
from tests.real.station import Station, is_alive, station
from tests.small_disk import small_disk
from tests.waiting import until

pytestmark = pytest.mark.real

BARE = "env -i sleep 1000"
"""A service that sees nothing of what surrounds it."""
NOBODY = 65534


def up_with(here: Station, *names: str) -> dict[str, int | None]:
    """Bring committed services up, and give their pids."""
    for name in names:
        here.define(name, BARE, "env: {PORT: '8000'}\n")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0
    return here.pids()


def change_port(here: Station, name: str = "web") -> None:
    """Save a new value, as a plain editor does it."""
    text = here.file(name).read_text()
    here.file(name).write_text(text.replace("8000", "8001"))


def is_replaced(here: Station, before: dict[str, int | None], name: str = "web") -> bool:
    """Tell whether a service runs in a new process."""
    return here.is_running(name) and here.pid(name) not in (None, before[f"{name}-0"])


def test_without_manifests_the_daemon_waits_for_the_first_one(here: Station) -> None:
    here.up()
    assert here.settle()["exitCode"] == 0
    assert "Nothing is defined here yet" in weaver("status", cwd=here.root).stdout
    here.define("web", BARE)
    until(lambda: here.is_running("web"))


def test_outside_of_a_git_repository_the_mend_is_named(tmp_path: Path) -> None:
    (tmp_path / "services.d").mkdir()
    said = weaver("up", "--detach", cwd=tmp_path)
    assert said.returncode == 6
    assert f"cannot use {tmp_path}: not a git repository" in said.stderr
    assert "weaver init" in said.stderr
    assert not (tmp_path / ".weaver").exists()


def test_why_a_daemon_cannot_start_is_not_told_with_the_words_of_an_earlier_one(
    here: Station,
) -> None:
    up_with(here, "web")
    here.down()
    (here.root / ".git").rename(here.root / "git")
    said = weaver("up", "--detach", cwd=here.root)
    (here.root / "git").rename(here.root / ".git")
    assert said.returncode == 6
    assert here.paths.daemon_log.read_text()
    assert "|" not in said.stderr


def test_a_file_that_is_cut_short_keeps_what_ran(here: Station) -> None:
    before = up_with(here, "web", "api")
    whole = here.file("web").read_text()
    here.file("web").write_text(whole[: whole.index("8000")])
    until(lambda: here.service("web")["sync"] == "Invalid")
    assert "services.d/web.yaml:" in here.service("web")["reason"]
    assert here.pids() == before
    here.file("web").write_text(whole)
    until(lambda: here.is_running("web"))
    assert here.pids() == before


def begin_lock(here: Station) -> Callable[[], object]:
    lock = here.root / ".git" / "index.lock"
    lock.touch()
    return lock.unlink


def begin_bisect(here: Station) -> Callable[[], object]:
    here.git("bisect", "start")
    return partial(here.git, "bisect", "reset")


def begin_rebase(here: Station) -> Callable[[], object]:
    """Leave a rebase unfinished that stops at once and changes no file."""
    command = "git rebase --quiet --exec false --root"
    subprocess.run(command.split(), cwd=here.root, capture_output=True, check=False)
    assert (here.root / ".git" / "rebase-merge").exists()
    return partial(here.git, "rebase", "--quit")


def begin_merge(here: Station) -> Callable[[], object]:
    here.git("commit", "-q", "--allow-empty", "-m", "ours")
    here.git("checkout", "-q", "-b", "other", "HEAD~1")
    here.git("commit", "-q", "--allow-empty", "-m", "theirs")
    here.git("checkout", "-q", "main")
    here.git("merge", "-q", "--no-commit", "--no-ff", "other")
    return partial(here.git, "merge", "--quit")


@pytest.mark.parametrize(
    ("begin", "words"),
    [
        pytest.param(begin_lock, "index.lock", id="a lock"),
        pytest.param(begin_rebase, "a rebase is in progress", id="a rebase"),
        pytest.param(begin_merge, "a merge is in progress", id="a merge"),
        pytest.param(begin_bisect, "a bisect is in progress", id="a bisect"),
    ],
)
def test_while_git_is_at_work_the_last_desired_state_stays(
    here: Station, begin: Callable[[Station], Callable[[], object]], words: str
) -> None:
    before = up_with(here, "web", "api")
    end = begin(here)
    change_port(here)
    here.file("api").unlink()
    until(lambda: words in (here.status()["sourceHeld"] or ""), message=words)
    said = weaver("status", cwd=here.root)
    assert "the manifests are not followed just now" in said.stdout
    assert here.pids() == before
    end()
    until(lambda: is_replaced(here, before) and not here.service("api"))


def test_a_held_removal_is_done_once_its_id_is_approved(here: Station) -> None:
    before = up_with(here, "web")
    here.file("web").unlink()
    held = until(lambda: here.status()["prune"])["id"]
    assert here.service("web")["sync"] == "Held"
    assert f"weaver prune approve {held}" in here.service("web")["reason"]
    assert weaver("prune", "approve", "000000", cwd=here.root).returncode == 6
    assert here.pids() == before
    assert weaver("prune", "approve", held, cwd=here.root).returncode == 0
    assert not here.service("web")
    assert not is_alive(before["web-0"])


def test_a_held_removal_that_is_taken_back_touches_nothing(here: Station) -> None:
    before = up_with(here, "web")
    here.file("web").unlink()
    until(lambda: here.status()["prune"])
    here.git("checkout", "-q", "--", "services.d")
    until(lambda: here.is_running("web") and not here.status()["prune"])
    assert here.pids() == before


def test_a_save_by_renaming_counts_once_and_an_editor_s_leavings_do_not(here: Station) -> None:
    before = up_with(here, "web", "api")
    for name in (".web.yaml.swp", "web.yaml~", "4913", "#web.yaml#", ".#web.yaml"):
        (here.root / "services.d" / name).write_text("}{")
    fresh = here.root / "services.d" / "web.yaml.tmp"
    fresh.write_text(here.file("web").read_text().replace("8000", "8001"))
    here.file("web").rename(here.root / "services.d" / "web.yaml~")
    fresh.rename(here.file("web"))
    until(lambda: is_replaced(here, before))
    assert here.pid("api") == before["api-0"]
    starts = [event for event in here.events("web") if event["kind"] == "service.starting"]
    assert len(starts) == 2
    assert here.status()["invalid"] == []


@pytest.mark.parametrize(
    ("command", "more", "words"),
    [
        pytest.param(
            "sleeep 9", "", "not found on its PATH (did you mean sleep?)", id="not on PATH"
        ),
        pytest.param(
            "xqzt-none",
            "",
            "not found on its PATH (install it, or write its path)",
            id="like nothing on PATH",
        ),
        pytest.param("./none", "", "/none: no such file", id="no such file"),
        pytest.param("/tmp", "", "cannot run /tmp: it is a directory", id="a directory"),
        pytest.param(BARE, "cwd: none\n", "/none: no such file or directory", id="no cwd"),
    ],
)
def test_y14_what_cannot_be_started_is_named(
    here: Station, command: str, more: str, words: str
) -> None:
    here.define("api", BARE)
    here.define("web", command, more)
    here.up()
    assert here.settle()["exitCode"] == 4
    assert words in here.service("web")["reason"]
    assert here.is_running("api")


def test_v21_a_service_whose_folder_is_deleted_runs_on_and_comes_again_once_it_is_back(
    here: Station,
) -> None:
    folder = here.root / "app"
    folder.mkdir()
    here.define("web", more="cwd: app\nbackoff: {initial: 10ms, max: 100ms, jitter: 0ms}\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    before = here.pid("web")
    folder.rmdir()
    here.kill_daemon()
    here.up()
    assert here.settle()["exitCode"] == 0
    assert here.pid("web") == before
    assert before is not None
    os.kill(before, signal.SIGKILL)
    words = f"cannot enter {folder}: no such file or directory"
    until(lambda: words in here.service("web")["reason"])
    folder.mkdir()
    until(lambda: here.is_running("web"))


def test_the_socket_of_a_dead_daemon_is_in_nobody_s_way(here: Station) -> None:
    before = up_with(here, "web")
    here.kill_daemon()
    assert here.paths.socket.exists()
    said = weaver("status", cwd=here.root)
    assert (said.returncode, "weaver up --detach" in said.stderr) == (11, True)
    assert weaver("up", "--detach", cwd=here.root).returncode == 0
    assert here.pids() == before


def test_while_its_socket_is_away_a_daemon_is_still_known(here: Station) -> None:
    before = up_with(here, "web")
    pid = here.daemon_pid
    here.git("clean", "-fdxq")
    refused = weaver("up", cwd=here.root)
    assert refused.returncode == 10
    assert f"daemon {pid} runs this directory" in refused.stderr
    assert weaver("status", cwd=here.root).returncode == 0
    assert weaver("up", "--detach", cwd=here.root).returncode == 0
    assert (here.daemon_pid, here.pids()) == (pid, before)


def test_a_daemon_that_keeps_its_state_elsewhere_is_told_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reappearing, "WITHIN_S", 0.1)
    root, state = tmp_path / "repo", tmp_path / "state"
    root.mkdir()
    with station(root, state) as here:
        up_with(here, "web")
        said = call("status", cwd=root)
        assert said.returncode == 11
        assert f"daemon {here.daemon_pid} runs for {root}, but does not answer" in said.stderr
        assert "--state-dir" in said.stderr
        assert call(f"--state-dir={state}", "status", cwd=root).returncode == 0


def test_in_a_read_only_repository_apply_fails_and_services_run_on(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    with small_disk(tmp_path / "repo", "4m") as root, station(root, state) as here:
        before = up_with(here, "web")
        changed = here.file("web").read_text().replace("8000", "8001")
        mount = ["mount", "-o", "remount,ro", str(root)]
        subprocess.run(mount, check=True)
        flag = f"--state-dir={state}"
        said = weaver(flag, "apply", "-f", "-", cwd=root, stdin=changed)
        assert said.returncode == 4
        assert f"cannot commit: {root} is read-only" in said.stderr
        assert "services are not affected" in said.stderr
        assert here.is_running("web")
        assert here.pids() == before


def test_without_an_identity_the_uid_is_the_author(here: Station) -> None:
    up_with(here, "web")
    here.git("config", "--unset", "user.name")
    here.git("config", "--unset", "user.email")
    here.git("config", "user.useConfigOnly", "true")
    said = weaver("set", "web", "env.PORT=8001", cwd=here.root)
    assert said.returncode == 0
    assert "git config --global user.name" in said.stderr
    assert here.git("log", "-1", "--format=%an").strip() == f"uid:{os.getuid()}"


def test_in_somebody_else_s_repository_services_run_and_nothing_is_written(here: Station) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    here.define("web", BARE, "env: {PORT: '8000'}\n")
    here.commit()
    for path in [here.root, *here.root.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    here.up()
    assert here.settle()["exitCode"] == 0
    said = weaver("set", "web", "env.PORT=8001", cwd=here.root)
    assert said.returncode == 3
    assert f"belongs to uid {NOBODY}" in said.stderr
    git = here.root / ".git"
    assert [path for path in [git, *git.rglob("*")] if path.lstat().st_uid == 0] == []
    assert here.is_running("web")


def test_a_word_that_is_no_command_gets_the_nearest_one(tmp_path: Path) -> None:
    said = weaver("statsu", cwd=tmp_path)
    assert said.returncode == 2
    assert "no such command: statsu" in said.stderr
    assert "did you mean `status`" in said.stderr


def test_what_yaml_takes_for_a_number_reaches_the_service_as_written(here: Station) -> None:
    note = here.root / "seen"
    command = f"""[env, -u, PATH, /bin/sh, -c, 'echo "$A $B" > {note}; exec sleep 1000']"""
    here.define("web", command, "env: {A: 0800, B: 3.10}\n")
    here.up()
    assert here.settle()["exitCode"] == 0
    until(lambda: note.exists() and note.read_text() == "0800 3.10\n")
