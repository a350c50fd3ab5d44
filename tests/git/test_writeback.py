"""Commits that Weaver writes: what is in them, and what stays as the person left it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.state import dirty_paths
from reconciler.ports import Author
from tests.git.asking import put, remove, request, set_field, write
from tests.git.scratch import DB, WEB, Scratch, make

pytestmark = pytest.mark.real

FILE = "services.d/web.yaml"
NEW_WEB = "name: web\ncommand: caddy run\n"


def test_a_change_is_one_commit_by_the_person_and_committed_by_weaver(scratch: Scratch) -> None:
    before = scratch.head()
    done = write(scratch, set_field("8001"), subject="web: set env.PORT=8001", reason="full")
    assert done.changed
    assert done.files == (FILE,)
    assert done.notes == ()
    assert done.commit == scratch.head()
    assert scratch.git("rev-parse", "HEAD^").strip() == before
    assert scratch.git("log", "-1", "--format=%an <%ae>|%cn <%ce>|%B").rstrip() == (
        "Carol <carol@example.org>|Weaver <weaver@weaver.invalid>|web: set env.PORT=8001\n"
        "\n"
        "Weaver-Op: set\n"
        "Weaver-Op-Id: 4f2a9c\n"
        "Weaver-Actor: uid:1000\n"
        "Weaver-Source: cli\n"
        "Weaver-Services: web\n"
        "Weaver-Reason: full"
    )


def test_comments_and_everything_around_the_value_survive(scratch: Scratch) -> None:
    write(scratch, set_field("8001"))
    expected = WEB.replace("8000", "8001")
    assert scratch.at("HEAD", FILE) == scratch.at("", FILE) == scratch.read(FILE) == expected
    assert scratch.status() == []
    assert scratch.git("diff", "--numstat", "HEAD~1").split() == ["1", "1", FILE]


def test_g24_after_the_commit_nothing_is_dirty_and_nothing_is_left_to_write(
    scratch: Scratch,
) -> None:
    done = write(scratch, set_field("8001"))
    files = {path: scratch.path(path).read_bytes() for path in (FILE, "services.d/db.yaml")}
    assert dirty_paths(locate(scratch.root), done.commit, files) == ()
    again = write(scratch, set_field("8001"))
    assert (again.changed, again.commit, again.files) == (False, done.commit, ())
    assert scratch.head() == done.commit


def test_a_change_to_the_same_value_makes_no_commit(scratch: Scratch) -> None:
    before = scratch.head()
    done = write(scratch, put(WEB), set_field("8000"))
    assert (done.changed, done.commit, done.files, done.notes) == (False, before, (), ())


def test_a_new_service_gets_a_file_and_a_removed_one_loses_it(scratch: Scratch) -> None:
    write(scratch, put("name: api\ncommand: api\n", "api"), remove("db"))
    assert scratch.at("HEAD", "services.d/api.yaml") == "name: api\ncommand: api\n"
    assert scratch.read("services.d/api.yaml") == "name: api\ncommand: api\n"
    assert not scratch.path("services.d/db.yaml").exists()
    assert scratch.path("services.d").is_dir()
    assert scratch.status() == []


def test_the_first_commit_of_a_branch_is_ours(empty: Scratch) -> None:
    done = write(empty, put(NEW_WEB))
    assert (done.changed, done.commit) == (True, empty.head())
    assert empty.git("rev-list", "--count", "HEAD").strip() == "1"
    assert empty.git("symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert empty.status() == []


def test_before_the_first_commit_staged_and_untracked_files_stay(empty: Scratch) -> None:
    empty.write("staged.txt", "x")
    empty.git("add", "staged.txt")
    empty.write("untracked.txt", "x")
    write(empty, put(NEW_WEB))
    assert empty.status() == ["A  staged.txt", "?? untracked.txt"]
    assert empty.git("ls-tree", "-r", "--name-only", "HEAD").split() == [FILE]


def test_several_services_of_one_file_are_kept_apart(scratch: Scratch) -> None:
    both = WEB + "---\n# cache\nname: cache\ncommand: memcached\n"
    scratch.write(FILE, both)
    scratch.commit("two in one")
    write(scratch, remove("web"))
    assert "name: cache" in scratch.read(FILE)
    assert "name: web" not in scratch.read(FILE)
    assert scratch.status() == []


def test_modes_of_files_are_kept(scratch: Scratch) -> None:
    scratch.path(FILE).chmod(0o750)
    scratch.commit("executable, for some reason")
    write(scratch, set_field("8001"))
    assert stat.S_IMODE(scratch.path(FILE).stat().st_mode) == 0o750
    assert scratch.git("ls-tree", "HEAD", FILE).startswith("100755")
    assert scratch.status() == []


def test_marks_of_index_entries_are_kept(scratch: Scratch) -> None:
    scratch.git("update-index", "--assume-unchanged", FILE)
    scratch.git("update-index", "--skip-worktree", "services.d/db.yaml")
    write(scratch, set_field("8001"), set_field("redis", "command", service="db"))
    assert scratch.git("ls-files", "-v", "services.d").split() == [
        "S", "services.d/db.yaml", "h", FILE,
    ]  # fmt: skip


def test_g26_without_an_identity_the_uid_is_the_author_and_the_mend_is_told(
    scratch: Scratch,
) -> None:
    done = write(scratch, set_field("1"), author=Author(name="", email="", uid=1000))
    assert scratch.log("%an <%ae>")[0] == "uid:1000 <uid-1000@weaver.invalid>"
    (note,) = done.notes
    assert "mend: git config --global user.name" in note


def test_g26_a_repository_that_demands_signatures_does_not_hang_us(
    scratch: Scratch, tmp_path: Path
) -> None:
    gpg = tmp_path / "gpg"
    gpg.write_text("#!/bin/sh\nsleep 600\n")
    gpg.chmod(0o755)
    for key, value in (("commit.gpgSign", "true"), ("gpg.program", str(gpg))):
        scratch.git("config", key, value)
    assert write(scratch, set_field("8001")).changed


def test_g15_no_hook_of_the_repository_runs(scratch: Scratch, tmp_path: Path) -> None:
    proof = tmp_path / "ran"
    hooks = (
        "pre-commit prepare-commit-msg commit-msg post-commit post-index-change "
        "reference-transaction post-checkout post-rewrite pre-auto-gc fsmonitor-watchman"
    )
    for name in hooks.split():
        hook = scratch.top / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {proof}\nexit 1\n")
        hook.chmod(0o755)
    assert write(
        scratch, set_field("8001"), put(NEW_WEB.replace("web", "other"), "other"), remove("db")
    ).changed
    assert not proof.exists()


def test_trailers_cannot_be_injected(scratch: Scratch) -> None:
    evil = "x\n\nWeaver-Op: undo\nSigned-off-by: Root <root@example.org>"
    write(scratch, set_field("1"), subject=evil, reason=evil, source=evil)
    trailers = scratch.git("log", "-1", "--format=%(trailers:only)").splitlines()
    assert [line.partition(":")[0] for line in trailers if line] == [
        "Weaver-Op", "Weaver-Op-Id", "Weaver-Actor", "Weaver-Source", "Weaver-Services",
        "Weaver-Reason",
    ]  # fmt: skip


def test_the_reflog_says_what_was_done(scratch: Scratch) -> None:
    write(scratch, set_field("8001"), subject="web: set env.PORT=8001")
    for name in ("HEAD", "main"):
        assert scratch.git("reflog", "-1", "--format=%gs|%gn", name).strip() == (
            "weaver set: web: set env.PORT=8001|Weaver"
        )


def test_manifests_below_the_top_are_committed_there(tmp_path: Path) -> None:
    mono = make(tmp_path / "mono", inner="deploy")
    mono.write(FILE, WEB)
    (mono.top / "services.d").mkdir()
    (mono.top / FILE).write_text(WEB)
    mono.commit()
    done = write(mono, set_field("8001"), put(NEW_WEB.replace("web", "other"), "other"))
    assert done.files == ("services.d/other.yaml", FILE)
    assert mono.git("diff", "--name-only", "HEAD~1").split() == [
        "deploy/services.d/other.yaml", f"deploy/{FILE}",
    ]  # fmt: skip
    assert mono.status() == []


def test_a_linked_work_tree_commits_to_its_own_branch(scratch: Scratch, tmp_path: Path) -> None:
    main = scratch.head()
    scratch.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    linked = Scratch(top=tmp_path / "linked", root=tmp_path / "linked")
    done = write(linked, set_field("8001"))
    assert linked.head() == done.commit
    assert scratch.head() == main
    assert linked.status() == scratch.status() == []


def test_a_submodule_commits_in_its_own_repository(scratch: Scratch, tmp_path: Path) -> None:
    outer = make(tmp_path / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(scratch.top), "sub")
    outer.commit("submodule")
    inner = Scratch(top=outer.top / "sub", root=outer.top / "sub")
    done = write(inner, set_field("8001"))
    assert inner.head() == done.commit
    assert inner.status() == []
    assert outer.status() == [" M sub"]


def test_a_sha256_repository_is_written_to(tmp_path: Path) -> None:
    scratch = Scratch(top=tmp_path, root=tmp_path)
    scratch.git("init", "-q", "-b", "main", "--object-format=sha256")
    write(scratch, put(WEB))
    done = write(scratch, set_field("8001"), put("name: api\ncommand: api\n", "api"))
    assert len(done.commit) == 64
    write(scratch, remove("api"))
    assert not scratch.path("services.d/api.yaml").exists()
    assert scratch.status() == []


def test_auto_commit_off_writes_the_file_and_leaves_the_rest(scratch: Scratch) -> None:
    before, entries = scratch.head(), scratch.staged_entries()
    done = write(scratch, set_field("8001"), auto_commit=False)
    assert (done.changed, done.commit, done.files) == (False, before, (FILE,))
    assert scratch.read(FILE) == WEB.replace("8000", "8001")
    assert (scratch.head(), scratch.staged_entries()) == (before, entries)
    assert scratch.status() == [f" M {FILE}"]
    assert "git.autoCommit is off" in done.notes[0]


def test_a_request_of_many_services_is_one_commit(scratch: Scratch) -> None:
    intents = [put(f"name: s{n}\ncommand: sleep {n}\n", f"s{n}") for n in range(30)]
    done = write(scratch, *intents)
    assert len(done.files) == 30
    assert scratch.git("rev-list", "--count", "HEAD").strip() == "2"
    assert scratch.status() == []
    assert set(
        scratch.git("log", "-1", "--format=%(trailers:key=Weaver-Services,valueonly)")
        .strip()
        .split(", ")
    ) == set(request(*intents).services)


def test_nothing_else_of_the_repository_changes(scratch: Scratch) -> None:
    for number in range(4):
        scratch.write(f"app/{number}.py", "one\n")
    scratch.write("app/gone.py", "one\n")
    scratch.commit("more")
    scratch.write("app/0.py", "staged\n")
    scratch.git("add", "app/0.py")
    scratch.write("app/1.py", "unsaved\n")
    scratch.git("mv", "app/2.py", "app/renamed.py")
    scratch.path("app/3.py").unlink()
    scratch.git("rm", "-q", "--cached", "app/gone.py")
    scratch.write("services.d/db.yaml", DB + "# mine\n")
    scratch.write("untracked", "x")
    scratch.write("intended", "x")
    scratch.git("add", "-N", "intended")
    scratch.write(".gitignore", "ignored\n")
    scratch.write("ignored", "x")
    scratch.git("stash", "list")
    status = scratch.git("status", "--porcelain=v2", "-uall", "--ignored")
    entries = scratch.staged_entries()
    refs = scratch.git("for-each-ref")
    write(scratch, set_field("8001"))
    assert scratch.git("status", "--porcelain=v2", "-uall", "--ignored") == status
    now = scratch.staged_entries()
    assert entries.pop(FILE) != now.pop(FILE)
    assert now == entries
    assert len(scratch.git("for-each-ref").splitlines()) == len(refs.splitlines())
