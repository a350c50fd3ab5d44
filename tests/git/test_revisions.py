"""Revisions read from the object database, and what must never reach git as an option."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.adapters.git import plumbing
from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.index import read_staged
from reconciler.adapters.git.revisions import (
    check_revision,
    read_revision,
    resolve,
    resolve_span,
)
from reconciler.manifest.limits import MAX_FILE_BYTES
from reconciler.ports import HostError, ManifestError, NotFoundError
from tests.git.asking import set_field, write
from tests.git.scratch import DB, WEB, Scratch, make
from tests.waiting import until

pytestmark = pytest.mark.real


def test_a_revision_has_its_manifests_and_settings(scratch: Scratch) -> None:
    scratch.write("weaver.yaml", "mode: native\n")
    scratch.write("services.d/team/api.json", "{}")
    commit = scratch.commit()
    found = read_revision(locate(scratch.root), "main")
    assert found.commit == commit
    assert found.files == {
        "services.d/web.yaml": WEB.encode(),
        "services.d/db.yaml": DB.encode(),
        "services.d/team/api.json": b"{}",
        "weaver.yaml": b"mode: native\n",
    }


def test_what_is_no_manifest_is_named_and_not_read(scratch: Scratch) -> None:
    for name in ("notes.txt", ".hidden.yaml", "#web.yaml#", "web.yaml~", ".cache/x.yaml"):
        scratch.write(f"services.d/{name}", "x")
    scratch.commit()
    found = read_revision(locate(scratch.root), "HEAD")
    assert set(found.files) == {"services.d/web.yaml", "services.d/db.yaml"}
    assert found.others == ("services.d/notes.txt",)


def test_saved_changes_are_not_seen(scratch: Scratch) -> None:
    scratch.write("services.d/web.yaml", "name: other\n")
    assert read_revision(locate(scratch.root), "HEAD").files["services.d/web.yaml"] == WEB.encode()


def test_an_older_revision_is_read_by_any_name(scratch: Scratch) -> None:
    old = scratch.head()
    scratch.git("tag", "-a", "-m", "release", "v1")
    scratch.write("services.d/web.yaml", "name: other\n")
    scratch.commit()
    checkout = locate(scratch.root)
    for name in (old, old[:9], "v1", "HEAD~1", "main^", "main@{1}"):
        assert resolve(checkout, name) == old
        assert read_revision(checkout, name).files["services.d/web.yaml"] == WEB.encode()


def test_before_the_first_commit_head_is_empty(empty: Scratch) -> None:
    assert read_revision(locate(empty.root), "HEAD").files == {}
    with pytest.raises(NotFoundError):
        read_revision(locate(empty.root), "main")


def test_manifests_below_the_top_have_paths_of_their_root(tmp_path: Path) -> None:
    scratch = make(tmp_path / "mono", inner="deploy")
    scratch.write("services.d/web.yaml", WEB)
    (scratch.top / "services.d").mkdir()
    (scratch.top / "services.d/not-ours.yaml").write_text(DB)
    scratch.commit()
    assert set(read_revision(locate(scratch.root), "HEAD").files) == {"services.d/web.yaml"}


def test_g12_links_are_followed_inside_and_refused_outside(scratch: Scratch) -> None:
    scratch.write("shared/alias.yaml", "name: alias\n")
    for name, target in {
        "inside": "../shared/alias.yaml",
        "outside": "/etc/passwd",
        "above": "../../../etc/passwd",
        "nowhere": "missing.yaml",
        "loop": "loop.yaml",
        "folder": "../shared",
    }.items():
        scratch.path(f"services.d/{name}.yaml").symlink_to(target)
    scratch.commit()
    found = read_revision(locate(scratch.root), "HEAD")
    assert found.files["services.d/inside.yaml"] == b"name: alias\n"
    assert found.links == {"services.d/inside.yaml"}
    assert "leaves the repository" in found.refused["services.d/outside.yaml"]
    assert "/etc/passwd" in found.refused["services.d/outside.yaml"]
    assert "leaves the repository" in found.refused["services.d/above.yaml"]
    for name in ("nowhere", "loop", "folder"):
        assert "leads to no file" in found.refused[f"services.d/{name}.yaml"]


def test_g11_a_submodule_in_place_of_a_manifest_is_refused(scratch: Scratch) -> None:
    head = scratch.head()
    scratch.git("update-index", "--add", "--cacheinfo", f"160000,{head},services.d/sub.yaml")
    scratch.git("commit", "-q", "-m", "gitlink")
    found = read_revision(locate(scratch.root), "HEAD")
    assert found.refused == {"services.d/sub.yaml": "it is a submodule, not a file"}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("link", "it is a link, not a folder"),
        ("file", "it is a file, not a folder"),
        ("submodule", "it is a submodule"),
    ],
)
def test_g11_and_g12_what_stands_in_the_place_of_the_folder_is_named(
    empty: Scratch, what: str, words: str
) -> None:
    """Nobody takes it for a folder without services."""
    empty.write("real/web.yaml", WEB)
    if what == "link":
        empty.path("services.d").symlink_to("real")
    elif what == "file":
        empty.write("services.d", WEB)
    head = empty.commit()
    if what == "submodule":
        empty.git("update-index", "--add", "--cacheinfo", f"160000,{head},services.d")
        empty.git("commit", "-q", "-m", "gitlink")
    found = read_revision(locate(empty.root), "HEAD")
    assert words in found.refused["services.d"]
    assert found.files == {}


def test_g11_and_g12_what_is_behind_a_link_or_a_submodule_is_not_passed_over(
    scratch: Scratch,
) -> None:
    head = scratch.head()
    scratch.write("teams/a/api.yaml", "name: api\n")
    for name, target in {
        "team": "../teams/a",
        "words": "../app/main.py",
        "nowhere": "missing",
        "outside": "/etc",
    }.items():
        scratch.path(f"services.d/{name}").symlink_to(target)
    scratch.git("add", "-A")
    scratch.git("update-index", "--add", "--cacheinfo", f"160000,{head},services.d/vendor")
    scratch.git("commit", "-q", "-m", "folders elsewhere")
    found = read_revision(locate(scratch.root), "HEAD")
    assert sorted(found.refused) == ["services.d/team", "services.d/vendor"]
    assert "link to a folder" in found.refused["services.d/team"]
    assert sorted(found.others) == ["services.d/nowhere", "services.d/outside", "services.d/words"]


def test_g10_a_huge_file_is_refused_by_its_size(scratch: Scratch) -> None:
    scratch.write("services.d/huge.yaml", "x" * (MAX_FILE_BYTES + 1))
    scratch.commit()
    found = read_revision(locate(scratch.root), "HEAD")
    assert f"the limit is {MAX_FILE_BYTES}" in found.refused["services.d/huge.yaml"]
    assert "services.d/huge.yaml" not in found.files


@pytest.mark.parametrize("shallow", [True, False], ids=["shallow", "whole"])
def test_three_dots_start_where_the_branches_parted(
    scratch: Scratch, tmp_path: Path, shallow: bool
) -> None:
    fork = scratch.head()
    scratch.git("switch", "-q", "-c", "side")
    side = scratch.commit("side")
    scratch.git("switch", "-q", "main")
    main = scratch.commit("main")
    checkout = locate(scratch.root)
    assert resolve_span(checkout, "main...side").base == fork
    assert resolve_span(checkout, "main..side").base == main
    assert resolve_span(checkout, "main...side").head == side
    assert resolve_span(checkout, "side...").head == main
    assert resolve_span(checkout, "side").head == ""
    if shallow:
        url = f"file://{scratch.top}"
        scratch.git("clone", "-q", "--depth=1", "--no-single-branch", url, str(tmp_path / "s"))
        with pytest.raises(NotFoundError, match="share no commit"):
            resolve_span(locate(tmp_path / "s"), "origin/main...origin/side")


@pytest.mark.parametrize(
    "text",
    ["--upload-pack=touch x", "-x", "", "a\nb", "a\0b", "x" * 300, "--", "--output=/tmp/x"],
)
def test_g13_what_looks_like_an_option_is_refused_first(scratch: Scratch, text: str) -> None:
    for ask in (check_revision, lambda t: resolve_span(locate(scratch.root), t)):
        with pytest.raises(ManifestError, match="as a revision"):
            ask(text)


@pytest.mark.parametrize(
    "text", ["nope", "main:services.d/web.yaml", "..", "a..b", "HEAD^{tree}", "ext::sh -c id"]
)
def test_g13_what_is_no_commit_is_not_found(scratch: Scratch, text: str) -> None:
    with pytest.raises(NotFoundError, match="cannot find the revision"):
        resolve(locate(scratch.root), text)


@given(st.text(max_size=20))
def test_no_accepted_revision_begins_with_a_dash_or_breaks_a_line(text: str) -> None:
    try:
        accepted = check_revision(text)
    except ManifestError:
        return
    assert accepted == text
    assert text[0] != "-"
    assert not set(text) & set("\n\r\0\t")


def test_staged_manifests_are_read_from_the_index(scratch: Scratch) -> None:
    scratch.write("services.d/web.yaml", "name: staged\n")
    scratch.git("add", "-A")
    scratch.write("services.d/web.yaml", "name: saved\n")
    found = read_staged(locate(scratch.root))
    assert found.files["services.d/web.yaml"] == b"name: staged\n"


def test_g14_no_program_of_the_repositorys_configuration_runs(
    scratch: Scratch, tmp_path: Path
) -> None:
    proof = tmp_path / "ran"
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {proof}\nexit 0\n")
    evil.chmod(0o755)
    for key in (
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.askPass",
        "diff.external",
        "gpg.program",
        "core.editor",
        "filter.x.clean",
        "filter.x.smudge",
        "diff.x.textconv",
        "uploadpack.packObjectsHook",
    ):
        scratch.git("config", key, str(evil))
    scratch.git("config", "core.hooksPath", str(tmp_path))
    scratch.git("config", "log.showSignature", "true")
    scratch.git("config", "protocol.ext.allow", "always")
    scratch.git("config", "remote.origin.url", f"ext::{evil}")
    scratch.git("config", "remote.origin.promisor", "true")
    scratch.git("config", "extensions.partialClone", "origin")
    (scratch.top / ".git/info/attributes").write_text("*.yaml filter=x diff=x\n")
    checkout = locate(scratch.root)
    read_revision(checkout, "HEAD")
    read_staged(checkout)
    with pytest.raises(NotFoundError):
        resolve(checkout, "0" * 39 + "1")
    assert not proof.exists()


def test_g17_a_missing_object_is_a_clear_error(scratch: Scratch) -> None:
    blob = scratch.git("rev-parse", "HEAD:services.d/web.yaml").strip()
    (scratch.top / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises((NotFoundError, HostError), match="cannot"):
        read_revision(locate(scratch.root), "HEAD")


def test_g19_what_git_tidies_away_meanwhile_is_read_all_the_same(scratch: Scratch) -> None:
    commits = [scratch.head()]

    def tidy() -> None:
        for _ in range(4):
            scratch.git("repack", "-q", "-a", "-d")
            scratch.git("gc", "-q", "--prune=now")
        commits.clear()

    tidying = threading.Thread(target=tidy)
    tidying.start()
    repo, commit, reads = locate(scratch.root), commits[0], 0
    while commits or not reads:
        assert read_revision(repo, commit).files["services.d/web.yaml"] == WEB.encode()
        reads += 1
    tidying.join()


def test_g28_a_shallow_clone_is_read_and_written_to(scratch: Scratch, tmp_path: Path) -> None:
    scratch.commit("more")
    scratch.git("clone", "-q", "--depth=1", f"file://{scratch.top}", str(tmp_path / "shallow"))
    shallow = Scratch(top=tmp_path / "shallow", root=tmp_path / "shallow")
    assert read_revision(locate(shallow.root), "HEAD").commit == scratch.head()
    assert write(shallow, set_field("8001")).changed
    assert shallow.log() == ["web: change", "more"]
    assert shallow.fsck() == ""
    with pytest.raises(NotFoundError, match="cannot find the revision"):
        resolve(locate(shallow.root), "HEAD~2")


def test_g28_what_replaces_a_commit_in_one_clone_counts_for_nobody(scratch: Scratch) -> None:
    old = scratch.head()
    scratch.write("services.d/web.yaml", "name: other\n")
    new = scratch.commit()
    scratch.git("replace", new, old)
    assert scratch.at("HEAD", "services.d/web.yaml") == WEB
    files = read_revision(locate(scratch.root), "HEAD").files
    assert files["services.d/web.yaml"] == b"name: other\n"


def test_g18_git_that_is_not_there_is_a_clear_error(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = locate(scratch.root)
    monkeypatch.setenv("PATH", "/nonexistent")
    plumbing.require_git.cache_clear()
    with pytest.raises(HostError, match="not on PATH") as caught:
        resolve(checkout, "main")
    assert "install git" in caught.value.mend


def fake_git(folder: Path, script: str) -> str:
    """Put a git of our own first on PATH."""
    folder.mkdir()
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_g18_an_ancient_git_is_refused(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = locate(scratch.root)
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", "echo git version 1.8.3"))
    plumbing.require_git.cache_clear()
    with pytest.raises(HostError, match="too old"):
        resolve(checkout, "main")
    plumbing.require_git.cache_clear()


def test_a_git_that_hangs_is_killed_with_all_it_started(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = locate(scratch.root)
    plumbing.require_git()
    note = tmp_path / "pid"
    script = f"sleep 600 & echo $! > {note}.new; mv {note}.new {note}; wait"
    monkeypatch.setenv("PATH", fake_git(tmp_path / "bin", script))
    monkeypatch.setattr(plumbing, "DEADLINE_S", 0.5)
    with pytest.raises(HostError, match="no answer within"):
        resolve(checkout, "main")
    status = Path(f"/proc/{int(note.read_text())}/stat")
    until(lambda: not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX")
