"""What stands in a write-back's way: other people, locks, rights, sudden death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from reconciler.adapters.git import locks
from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.edits import IntentEdit
from reconciler.adapters.git.objects import Objects
from reconciler.adapters.git.publishing import STEPS
from reconciler.adapters.git.revisions import read_revision
from reconciler.adapters.git.state import dirty_paths, reading_hold
from reconciler.adapters.git.writeback import Job, write_back
from reconciler.failpoints import arm
from reconciler.ports import (
    BlockedError,
    ConflictError,
    ForbiddenError,
    HostError,
    ManifestError,
    WeaverError,
)
from tests.git.asking import assert_tidy, put, request, set_field, write
from tests.git.scratch import BOB, DB, WEB, Scratch, make
from tests.real.points import points
from tests.waiting import until

pytestmark = pytest.mark.real

FILE = "services.d/web.yaml"
CHANGED = WEB.replace("8000", "8001")
NOBODY = 65534


def everything(scratch: Scratch) -> tuple[object, ...]:
    """Give all that a refused write-back must leave as it was."""
    objects = sorted(path.name for path in (scratch.top / ".git/objects").glob("??/*"))
    return scratch.git("for-each-ref"), scratch.status(), scratch.staged_entries(), objects


def refused(scratch: Scratch, kind: type[WeaverError], words: str, mend: str) -> None:
    """Check that a write-back is refused in these words, and changes nothing."""
    before = everything(scratch)
    with pytest.raises(kind, match=words) as caught:
        write(scratch, set_field("8001"), lock_wait_s=0.2)
    assert mend in caught.value.mend
    assert everything(scratch) == before


def test_g3_on_no_branch_nothing_is_committed(scratch: Scratch) -> None:
    scratch.git("checkout", "-q", "--detach")
    refused(scratch, BlockedError, "on no branch", "git switch main")


@pytest.mark.parametrize("command", ["merge", "rebase", "cherry-pick", "revert", "bisect"])
def test_g4_while_an_operation_is_unfinished_nothing_is_committed(
    scratch: Scratch, command: str
) -> None:
    scratch.git("switch", "-q", "-c", "side")
    scratch.write("app/main.py", "side\n")
    scratch.commit("side")
    scratch.git("switch", "-q", "main")
    for text in ("main\n", "later\n"):
        scratch.write("app/main.py", text)
        scratch.commit(text)
    asked = {"revert": ["HEAD~1"], "bisect": ["start", "HEAD", "HEAD~2"]}
    scratch.git(command, *asked.get(command, ["side"]), check=False)
    refused(scratch, ConflictError, f"a {command} is in progress", "git ")


def test_g1_a_lock_that_stays_is_named_with_its_age(scratch: Scratch) -> None:
    lock = scratch.top / ".git/index.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    words = r"\.git/index\.lock is held by another git command, for \d{9,} s"
    refused(scratch, ConflictError, words, "remove the file if no git command is running")
    assert lock.exists()


def test_g1_a_lock_that_goes_away_is_waited_for(scratch: Scratch) -> None:
    lock = scratch.top / ".git/index.lock"
    lock.touch()
    timer = threading.Timer(0.3, lock.unlink)
    timer.start()
    assert write(scratch, set_field("8001")).changed
    timer.join()


def test_g1_a_branch_that_stays_locked_is_named(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.adapters.git.writeback.TRIES", 2)
    (scratch.top / ".git/refs/heads/main.lock").touch()
    refused_late(scratch, ConflictError, r"refs/heads/main\.lock")


def refused_late(scratch: Scratch, kind: type[WeaverError], words: str) -> None:
    """Check a refusal that comes after objects were written, which nothing refers to."""
    before = everything(scratch)[:3]
    with pytest.raises(kind, match=words):
        write(scratch, set_field("8001"))
    assert everything(scratch)[:3] == before
    assert scratch.read(FILE) == WEB


def test_a_branch_that_cannot_be_written_is_no_lost_race(scratch: Scratch) -> None:
    scratch.git("pack-refs", "--all")
    (scratch.top / ".git/refs/heads").rmdir()
    (scratch.top / ".git/refs/heads").touch()
    before = scratch.staged_entries(), scratch.read(FILE)
    with pytest.raises(HostError, match="cannot move main"):
        write_job(scratch, "8001")
    assert (scratch.staged_entries(), scratch.read(FILE)) == before


@pytest.mark.parametrize("revision", ["HEAD", "main", "123", "--all", "0" * 40])
def test_a_revision_that_is_not_heads_refuses(scratch: Scratch, revision: str) -> None:
    before = everything(scratch)
    with pytest.raises((ConflictError, ManifestError), match=r"cannot (commit|compare)"):
        write(scratch, set_field("8001"), if_revision=revision)
    assert everything(scratch) == before


def test_heads_revision_may_be_short(scratch: Scratch) -> None:
    assert write(scratch, set_field("8001"), if_revision=scratch.head()[:8]).changed


def test_g16_a_repository_of_another_user_is_refused_before_anything(scratch: Scratch) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    for path in [scratch.top, *scratch.top.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    before = everything_of_root(scratch)
    with pytest.raises(ForbiddenError, match=f"belongs to uid {NOBODY}") as caught:
        write_job(scratch, "8001")
    assert str(NOBODY) in caught.value.mend
    assert everything_of_root(scratch) == before == []


def test_g16_a_repository_of_another_user_can_be_read(scratch: Scratch) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    commit, files = scratch.head(), {FILE: scratch.path(FILE).read_bytes()}
    for path in [scratch.top, *scratch.top.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    checkout = locate(scratch.root)
    assert read_revision(checkout, "main").files[FILE].decode() == WEB
    assert dirty_paths(checkout, commit, files) == ("services.d/db.yaml",)
    assert reading_hold(scratch.root) == ""


def test_g16_nothing_is_cleared_away_in_another_users_repository(scratch: Scratch) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    (scratch.top / ".git/index.lock").write_text("weaver 4194303 1 some-boot\n")
    for path in [scratch.top, *scratch.top.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
    reading_hold(scratch.root)
    assert (scratch.top / ".git/index.lock").exists()
    assert everything_of_root(scratch) == []


def write_job(scratch: Scratch, value: str) -> None:
    """Write back without the checks that need a git that trusts the repository, or calm."""
    asked = request(set_field(value))
    write_back(
        Job(checkout=locate(scratch.root), request=asked, edit=IntentEdit(intents=asked.intents))
    )


def everything_of_root(scratch: Scratch) -> list[Path]:
    """Find what would be root's in somebody else's repository."""
    return [path for path in scratch.top.rglob("*") if path.lstat().st_uid == 0]


@pytest.mark.parametrize("place", [".git", "services.d"])
def test_a_read_only_repository_is_a_clear_error(place: str) -> None:
    with tempfile.TemporaryDirectory() as folder, as_nobody(Path(folder)):
        scratch = make(Path(folder, "repository"))
        scratch.write(FILE, WEB)
        scratch.commit()
        before = everything(scratch)
        (scratch.top / place).chmod(0o555)
        with pytest.raises(HostError, match=f"{place} is read-only for uid") as caught:
            write(scratch, set_field("8001"))
        assert "make it writable" in caught.value.mend
        assert everything(scratch) == before
        (scratch.top / place).chmod(0o755)


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Give up root's rights, which no file mode stops, in a folder that is then nobody's."""
    if os.geteuid():
        yield
        return
    os.chown(folder, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def python_path() -> dict[str, str]:
    """Let a child find what this process finds."""
    return {"PYTHONPATH": ":".join(path for path in sys.path if path)}


def test_a_failure_of_the_last_step_takes_all_others_back(scratch: Scratch) -> None:
    scratch.write("services.d/db.yaml", DB + "# staged\n")
    scratch.git("add", "-A")
    block(scratch.top / ".git/logs/refs/heads/main")
    refused_late(scratch, HostError, "cannot move the branch")


def test_a_complaint_after_the_branch_moved_is_no_failure(scratch: Scratch) -> None:
    block(scratch.top / ".git/logs/HEAD")
    done = write(scratch, set_field("8001"))
    assert (done.changed, done.commit) == (True, scratch.head())
    assert scratch.status() == []


def test_what_is_taken_back_leaves_what_they_saved_meanwhile(scratch: Scratch) -> None:
    block(scratch.top / ".git/logs/refs/heads/main")
    tell = once("saved", lambda: scratch.write(FILE, WEB + "# theirs\n"))
    with pytest.raises(HostError, match="cannot move the branch"):
        write(scratch, set_field("8001"), tell=tell)
    assert scratch.read(FILE) == WEB + "# theirs\n"
    assert scratch.status() == [f" M {FILE}"]


def block(reflog: Path) -> None:
    """Put a folder where git wants to write a log."""
    reflog.unlink()
    reflog.mkdir()
    (reflog / "in-the-way").touch()


def test_r3_a_full_disk_is_a_clear_error_and_changes_nothing(scratch: Scratch) -> None:
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from tests.git.crash import main; import reconciler.adapters.git.objects;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16)); main()"
    )
    before = everything(scratch)
    done = subprocess.run(
        [sys.executable, "-c", script, str(scratch.root), "never"],
        env=os.environ | python_path() | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert "cannot write back" in done.stderr or "cannot run git" in done.stderr
    reading_hold(scratch.root)
    assert everything(scratch)[:3] == before[:3]
    assert scratch.read(FILE) == WEB


def once(step: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Act when a step is reached for the first time."""
    pending = [act]

    def tell(reached: str) -> None:
        if reached == step and pending:
            pending.pop()()

    return tell


@pytest.mark.parametrize("step", ["locked", "objects", "beside"])
def test_g25_a_commit_of_theirs_in_between_is_built_upon(scratch: Scratch, step: str) -> None:
    theirs: list[str] = []

    def push() -> None:
        """Commit as a push into this repository does, past the index."""
        blob = scratch.git("hash-object", "-w", "app/main.py").strip()
        tree = scratch.git("ls-tree", "HEAD") + f"100644 blob {blob}\ttheirs.py\n"
        made = subprocess.run(
            ["git", "mktree"], cwd=scratch.top, input=tree.encode(), stdout=-1, check=True
        )
        commit = scratch.git(
            "commit-tree", "-p", "HEAD", "-m", "theirs", made.stdout.decode().strip(), person=BOB
        )
        scratch.git("update-ref", "refs/heads/main", commit.strip())
        theirs.append(commit.strip())

    done = write(scratch, set_field("8001"), tell=once(step, push))
    assert scratch.log() == ["web: change", "theirs", "two services"]
    assert scratch.git("rev-parse", "HEAD^").strip() == theirs[0]
    assert scratch.at("HEAD", FILE) == CHANGED
    assert done.files == (FILE,)
    assert "theirs.py" in scratch.git("ls-tree", "--name-only", "HEAD")


def test_g25_nobody_stages_or_commits_while_we_write(scratch: Scratch) -> None:
    scratch.write("app/main.py", "theirs\n")
    answers: list[str] = []

    def try_it() -> None:
        done = subprocess.run(
            ["git", "add", "app/main.py"], cwd=scratch.top, capture_output=True, check=False
        )
        answers.append(done.stderr.decode())

    write(scratch, set_field("8001"), tell=once("beside", try_it))
    assert "index.lock" in answers[0]
    assert scratch.status() == [" M app/main.py"]


@pytest.mark.parametrize("step", ["objects", "beside", "prepared"])
def test_a_file_they_save_in_between_is_not_lost(scratch: Scratch, step: str) -> None:
    theirs = WEB.replace("info", "debug")
    tell = once(step, lambda: scratch.write(FILE, theirs))
    write(scratch, set_field("8001"), tell=tell)
    assert scratch.read(FILE) == theirs.replace("8000", "8001")
    assert scratch.at("HEAD", FILE) == CHANGED
    assert scratch.status() == [f" M {FILE}"]


def test_i10_a_tree_with_more_than_was_meant_is_never_committed(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.write("app/main.py", "stray\n")
    scratch.write(FILE, CHANGED)
    scratch.git("add", "-A")
    tree = scratch.git("write-tree").strip()
    scratch.git("reset", "-q", "--hard")
    monkeypatch.setattr(Objects, "tree", lambda *_: tree)
    refused_late(scratch, HostError, "would differ from what was meant in app/main.py")


def test_a_switch_of_branches_in_between_never_moves_the_wrong_one(scratch: Scratch) -> None:
    main = scratch.head()
    scratch.git("branch", "other")

    def switch() -> None:
        scratch.git("symbolic-ref", "HEAD", "refs/heads/other")

    done = write(scratch, set_field("8001"), tell=once("objects", switch))
    assert scratch.git("rev-parse", "main").strip() == main
    assert scratch.git("rev-parse", "other").strip() == done.commit


@pytest.mark.slow
def test_g25_a_busy_person_and_weaver_lose_nothing_to_each_other(scratch: Scratch) -> None:
    rounds = 10

    def work() -> None:
        for number in range(rounds):
            scratch.write("app/main.py", f"print({number})\n")
            until(lambda: scratch.git("add", "app", check=False) == "" and staged())
            until(partial(commit, f"theirs {number}"))

    def staged() -> bool:
        return "app/main.py" in scratch.git("diff", "--cached", "--name-only")

    def commit(message: str) -> bool:
        scratch.git("commit", "-q", "-m", message, check=False)
        return message in scratch.log()

    person = threading.Thread(target=work)
    person.start()
    for number in range(rounds):
        write_job(scratch, str(number))
    person.join()
    ours = ["web: change"] * rounds
    theirs = [f"theirs {number}" for number in range(rounds)]
    assert sorted(scratch.log()) == sorted([*ours, *theirs, "two services"])
    assert scratch.status() == []
    assert scratch.at("HEAD", FILE) == WEB.replace("8000", str(rounds - 1))
    assert_tidy(scratch)


MIXED = {
    "locked": ("committed", "8000"),
    "objects": ("committed", "8000"),
    "beside": ("committed", "8000"),
    "prepared": ("committed", "8000"),
    "saved": (f" M {FILE}", "8000"),
    "staged": (f"M  {FILE}", "8000"),
    "committed": ("committed", "8001"),
}
"""After a death at each step: what `git status` says of the file, and the port that HEAD has."""


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_the_repository_is_sound_and_the_change_can_be_asked_again(
    scratch: Scratch, step: str
) -> None:
    scratch.write("services.d/db.yaml", DB + "# staged\n")
    scratch.git("add", "-A")
    scratch.write("services.d/db.yaml", DB + "# staged\n# saved\n")
    died = subprocess.run(
        [sys.executable, "-m", "tests.git.crash", str(scratch.root), step],
        env=os.environ | python_path(),
        capture_output=True,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    until(lambda: not (scratch.top / ".git/refs/heads/main.lock").exists())
    assert scratch.fsck() == ""

    assert reading_hold(scratch.root) == ""
    status, port = MIXED[step]
    theirs = "MM services.d/db.yaml"
    assert scratch.status() == ([theirs] if status == "committed" else [theirs, status])
    assert scratch.at("HEAD", FILE) == WEB.replace("8000", port)

    again = write(scratch, set_field("8001"))
    assert again.changed == (port == "8000")
    assert scratch.at("HEAD", FILE) == scratch.at("", FILE) == scratch.read(FILE) == CHANGED
    assert scratch.status() == [theirs]
    assert scratch.log()[1:] == ["two services"]
    assert_tidy(scratch)


def test_a_death_blocks_no_git_command_of_theirs_after_the_next_look(scratch: Scratch) -> None:
    subprocess.run(
        [sys.executable, "-m", "tests.git.crash", str(scratch.root), "beside"],
        env=os.environ | python_path(),
        capture_output=True,
        check=False,
    )
    assert (scratch.top / ".git/index.lock").exists()
    assert reading_hold(scratch.root) == ""
    scratch.write("app/main.py", "mine\n")
    scratch.commit("mine")
    assert scratch.status() == []


def test_while_we_write_others_are_told_that_it_is_us(scratch: Scratch) -> None:
    holds: list[str] = []
    write(
        scratch,
        set_field("8001"),
        tell=once("beside", lambda: holds.append(reading_hold(scratch.root))),
    )
    assert holds[0].startswith("weaver is writing a commit")
    assert reading_hold(scratch.root) == ""


def test_two_writers_at_once_wait_for_each_other(scratch: Scratch) -> None:
    failures: list[WeaverError] = []

    def second() -> None:
        try:
            write(scratch, set_field("9"), lock_wait_s=0.1)
        except WeaverError as why:
            failures.append(why)

    with locks.writer(locate(scratch.root)):
        second()
    assert isinstance(failures[0], ConflictError)
    assert "another weaver is writing" in str(failures[0])
    second()
    assert len(failures) == 1


def test_a_file_in_the_place_of_a_new_manifest_is_not_overwritten(scratch: Scratch) -> None:
    scratch.path("services.d/api.yaml").mkdir()
    scratch.write("services.d/api.yaml/keep", "x")
    with pytest.raises(WeaverError, match=r"services\.d/api\.yaml"):
        write(scratch, put("name: api\ncommand: api\n", "api"))
    assert scratch.read("services.d/api.yaml/keep") == "x"
    assert scratch.log() == ["two services"]


WRITING = [
    point.name
    for point in points("edit")
    if point.name.startswith("git.") and not point.name.startswith("git.worker")
]


@pytest.mark.parametrize("point", WRITING)
def test_an_error_at_any_step_is_a_refusal_that_changes_nothing_or_the_whole_commit(
    scratch: Scratch, tmp_path: Path, point: str
) -> None:
    struck = tmp_path / "struck"
    struck.mkdir()
    before = scratch.head()
    arm(f"{point}:raise", str(struck))
    try:
        is_done = write(scratch, set_field("8001")).changed
    except HostError:
        is_done = False
    finally:
        arm("", "")
    assert [path.name for path in struck.iterdir()] == [point]
    assert (scratch.head() != before) == is_done
    assert scratch.status() == []
    assert scratch.read(FILE) == (CHANGED if is_done else WEB)
    assert_tidy(scratch)
    assert not locks.index_lock(locate(scratch.top)).exists()
