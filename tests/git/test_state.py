"""Where a checkout stands, against what git itself says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.adapters.git import state
from reconciler.adapters.git.checkout import Checkout, find_root, foreign_owner, locate
from reconciler.adapters.git.state import blob_id, dirty_paths, head, reading_hold
from reconciler.ports import NotFoundError
from tests.git.scratch import WEB, Scratch, make

pytestmark = pytest.mark.real


def saved(scratch: Scratch) -> dict[str, bytes]:
    """Read all manifests, as the reader does."""
    folder = scratch.path("services.d")
    return {
        path.relative_to(scratch.root).as_posix(): path.read_bytes()
        for path in folder.rglob("*.yaml")
    }


def test_head_is_what_git_says(scratch: Scratch) -> None:
    found = head(locate(scratch.root))
    assert (found.commit, found.branch) == (scratch.head(), "main")


def test_a_packed_branch_is_found(scratch: Scratch) -> None:
    scratch.git("branch", "remain")
    scratch.git("pack-refs", "--all")
    assert not (scratch.top / ".git/refs/heads/main").exists()
    assert head(locate(scratch.root)).commit == scratch.head()


def test_a_branch_with_slashes_is_found(scratch: Scratch) -> None:
    scratch.git("switch", "-q", "-c", "team/feature")
    assert head(locate(scratch.root)).branch == "team/feature"


def test_g3_a_detached_head_has_no_branch(scratch: Scratch) -> None:
    scratch.git("checkout", "-q", "--detach")
    found = head(locate(scratch.root))
    assert (found.commit, found.branch) == (scratch.head(), "")


def test_g3_an_unborn_branch_has_no_commit(empty: Scratch) -> None:
    found = head(locate(empty.root))
    assert (found.commit, found.branch) == ("", "main")


def test_no_repository_is_an_error_with_a_mend(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="not a git repository") as caught:
        locate(tmp_path)
    assert "weaver init" in caught.value.mend
    assert "weaver init" in reading_hold(tmp_path)


def test_an_empty_git_folder_is_no_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    with pytest.raises(NotFoundError):
        locate(tmp_path)


def test_a_head_that_files_cannot_tell_is_asked_of_git(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "_REFTABLE_HEAD", "refs/heads/main")
    found = head(locate(scratch.root))
    assert (found.commit, found.branch) == (scratch.head(), "main")


def test_the_manifests_may_lie_below_the_top(tmp_path: Path) -> None:
    scratch = make(tmp_path / "mono", inner="deploy")
    checkout = locate(scratch.root)
    assert (checkout.top, checkout.prefix) == (scratch.top.resolve(), "deploy/")
    assert checkout.from_git(checkout.in_git("services.d/a.yaml")) == "services.d/a.yaml"


def test_a_linked_work_tree_has_its_own_head(scratch: Scratch, tmp_path: Path) -> None:
    scratch.git("worktree", "add", "-q", "-b", "other", str(tmp_path / "linked"))
    checkout = locate(tmp_path / "linked")
    assert head(checkout).branch == "other"
    assert checkout.common_dir == scratch.top / ".git"
    assert checkout.git_dir == scratch.top / ".git/worktrees/linked"


def test_a_submodule_is_found_by_its_git_file(scratch: Scratch, tmp_path: Path) -> None:
    outer = make(tmp_path / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(scratch.top), "sub")
    checkout = locate(outer.top / "sub")
    assert (outer.top / "sub/.git").is_file()
    assert checkout.git_dir == outer.top / ".git/modules/sub"
    assert head(checkout).commit == scratch.head()


def test_the_nearest_root_is_found(scratch: Scratch) -> None:
    deep = scratch.path("app/deep")
    deep.mkdir()
    assert find_root(deep) == scratch.root.resolve()
    scratch.path("app/weaver.yaml").touch()
    assert find_root(deep) == scratch.root.resolve() / "app"


def test_nothing_in_the_way_is_no_hold(scratch: Scratch) -> None:
    assert reading_hold(scratch.root) == ""


def test_g1_a_lock_of_git_is_a_hold_that_names_it(scratch: Scratch) -> None:
    lock = scratch.top / ".git/index.lock"
    lock.touch()
    assert str(lock) in reading_hold(scratch.root)
    assert lock.exists()


def test_g1_a_lock_of_a_dead_weaver_is_cleared_away(scratch: Scratch) -> None:
    lock = scratch.top / ".git/index.lock"
    lock.write_text("weaver 4194303 1 some-boot\n")
    assert reading_hold(scratch.root) == ""
    assert not lock.exists()


def conflict(scratch: Scratch) -> None:
    """Leave two branches that cannot be joined without a person."""
    scratch.git("switch", "-q", "-c", "side")
    scratch.write("services.d/web.yaml", WEB.replace("8000", "8001"))
    scratch.commit("8001")
    scratch.git("switch", "-q", "main")
    scratch.write("services.d/web.yaml", WEB.replace("8000", "8002"))
    scratch.commit("8002")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("merge", "side"), "a merge"),
        (("rebase", "side"), "a rebase"),
        (("rebase", "--apply", "side"), "a rebase"),
        (("cherry-pick", "side"), "a cherry-pick"),
        (("revert", "HEAD~1"), "a revert"),
    ],
    ids=["merge", "rebase", "rebase-apply", "cherry-pick", "revert"],
)
def test_g4_an_unfinished_operation_is_a_hold(
    scratch: Scratch, command: tuple[str, ...], words: str
) -> None:
    conflict(scratch)
    scratch.git(*command, check=False)
    hold = reading_hold(scratch.root)
    assert hold.startswith(words)
    assert "mend: end it with `git " in hold


def test_g4_a_bisect_is_a_hold_until_it_is_reset(scratch: Scratch) -> None:
    scratch.commit("another")
    scratch.git("bisect", "start", "HEAD", "HEAD~1")
    assert reading_hold(scratch.root).startswith("a bisect")
    scratch.git("bisect", "reset")
    assert reading_hold(scratch.root) == ""


def test_g2_dirty_paths_are_those_that_differ_from_the_commit(scratch: Scratch) -> None:
    checkout = locate(scratch.root)
    commit = scratch.head()
    assert dirty_paths(checkout, commit, saved(scratch)) == ()
    scratch.write("services.d/web.yaml", WEB + "# later\n")
    scratch.write("services.d/new.yaml", "name: new\n")
    scratch.path("services.d/db.yaml").unlink()
    dirty = ("services.d/db.yaml", "services.d/new.yaml", "services.d/web.yaml")
    assert dirty_paths(checkout, commit, saved(scratch)) == dirty


def test_g2_dirty_is_asked_without_touching_the_index(scratch: Scratch) -> None:
    scratch.write("services.d/web.yaml", WEB + "# later\n")
    index = scratch.top / ".git/index"
    before = index.stat()
    assert dirty_paths(locate(scratch.root), scratch.head(), saved(scratch))
    assert index.stat() == before


def test_everything_is_dirty_before_the_first_commit(empty: Scratch) -> None:
    empty.write("services.d/web.yaml", WEB)
    assert dirty_paths(locate(empty.root), "", saved(empty)) == ("services.d/web.yaml",)


def test_other_line_ends_by_checkout_are_not_dirty(scratch: Scratch) -> None:
    files = saved(scratch) | {"services.d/web.yaml": WEB.replace("\n", "\r\n").encode()}
    assert dirty_paths(locate(scratch.root), scratch.head(), files) == ()


def test_a_committed_link_is_dirty_only_when_it_leads_elsewhere(scratch: Scratch) -> None:
    link = scratch.path("services.d/alias.yaml")
    link.symlink_to("../app/alias.yaml")
    scratch.write("app/alias.yaml", "name: alias\n")
    commit = scratch.commit("link")
    checkout = locate(scratch.root)
    assert dirty_paths(checkout, commit, saved(scratch)) == ()
    link.unlink()
    link.symlink_to("db.yaml")
    assert dirty_paths(checkout, commit, saved(scratch)) == ("services.d/alias.yaml",)


def test_blob_ids_are_gits(scratch: Scratch) -> None:
    expected = scratch.git("hash-object", "services.d/web.yaml").strip()
    assert blob_id(WEB.encode()) == expected


def test_a_sha256_repository_is_read_too(tmp_path: Path) -> None:
    scratch = Scratch(top=tmp_path, root=tmp_path)
    scratch.git("init", "-q", "-b", "main", "--object-format=sha256")
    scratch.write("services.d/web.yaml", WEB)
    commit = scratch.commit()
    checkout = locate(tmp_path)
    assert head(checkout).commit == commit
    assert dirty_paths(checkout, commit, saved(scratch)) == ()


def test_g16_another_owner_is_seen(scratch: Scratch) -> None:
    checkout = locate(scratch.root)
    assert foreign_owner(checkout) is None
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(scratch.top / ".git", 12345, 12345)
    assert foreign_owner(checkout) == 12345


def test_head_is_read_without_starting_git(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = scratch.head()
    monkeypatch.setenv("PATH", "")
    checkout: Checkout = locate(scratch.root)
    assert head(checkout).commit == commit
    assert state.reading_hold(scratch.root) == ""
