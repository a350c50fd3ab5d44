"""A change for a branch: committed there, pushed as a person would, and nothing runs of it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.cli.forges import request_url
from tests.cli.shell import weaver

SLEEPER = "name: web\ncommand: sleep 1000\nready: {type: delay, delay: 10ms}\n"
WHO = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")


@pytest.mark.parametrize(
    ("remote", "page"),
    [
        (
            "https://u:p@github.com/a/b.git",
            "https://github.com/a/b/compare/main...x/y%23?expand=1",
        ),
        (
            "ssh://git@gitlab.x:2222/g/b.git",
            "https://gitlab.x/g/b/-/merge_requests/new?merge_request%5Bsource_branch%5D=x%2Fy%23",
        ),
        ("git@codeberg.org:a/b.git", "https://codeberg.org/a/b/compare/main...x/y%23"),
        ("http://gitea.local:3000/a/b", "http://gitea.local:3000/a/b/compare/main...x/y%23"),
        (
            "git@bitbucket.org:a/b.git",
            "https://bitbucket.org/a/b/pull-requests/new?source=x%2Fy%23&dest=main",
        ),
        ("/srv/git/b.git", ""),
        ("https://notgithub.org/a/b", ""),
    ],
)
def test_the_page_for_a_pull_request_is_known_by_the_forge_s_name(remote: str, page: str) -> None:
    assert request_url(remote, "x/y#", "main") == page


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.real
def test_a_change_for_a_branch_is_pushed_and_nothing_runs_of_it(tmp_path: Path) -> None:
    home, there = tmp_path / "home", tmp_path / "there.git"
    (home / "services.d").mkdir(parents=True)
    manifest = home / "services.d" / "web.yaml"
    manifest.write_text(SLEEPER)
    git(tmp_path, "init", "-q", "-b", "main", "home")
    git(home, "add", ".")
    git(home, "commit", "-qm", "begin")
    (tmp_path / "new.yaml").write_text(SLEEPER.replace("1000", "2000"))
    asked = ("apply", "-f", str(tmp_path / "new.yaml"), "--branch")
    try:
        assert weaver("up", "--detach", cwd=home).returncode == 0
        head = git(home, "rev-parse", "HEAD")
        alone = weaver(*asked, "more", cwd=home)
        assert alone.returncode == 0, alone.stderr
        assert "takes effect once merged (next: git merge more)" in alone.stdout
        assert "no remote" in alone.stderr
        assert git(home, "rev-parse", "more^") == git(home, "rev-parse", "HEAD") == head
        assert "sleep 2000" in git(home, "show", "more:services.d/web.yaml")
        assert "Weaver-Op: apply" in git(home, "log", "-1", "--format=%B", "more")
        assert manifest.read_text() == SLEEPER
        assert git(home, "status", "--porcelain", "services.d") == ""
        git(tmp_path, "init", "-q", "--bare", "there.git")
        git(home, "remote", "add", "origin", str(there))
        pushed = weaver(*asked, "more", "--pr", cwd=home)
        assert pushed.returncode == 0, pushed.stderr
        assert "more has this already" in pushed.stdout
        assert "pushed: git push origin more" in pushed.stderr
        assert "open a pull request from more into main" in pushed.stderr
        assert git(there, "rev-parse", "more") == git(home, "rev-parse", "more")
        git(home, "push", "-q", "origin", "main:other")
        git(there, "update-ref", "refs/heads/other", git(home, "rev-parse", "more"))
        (tmp_path / "new.yaml").write_text(SLEEPER.replace("1000", "3000"))
        raced = weaver(*asked, "other", cwd=home)
        assert raced.returncode == 10, raced.stderr
        assert "committed here only" in raced.stderr
        hook = there / "hooks" / "pre-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text("#!/bin/sh\necho 'nobody pushes here' >&2\nexit 1\n")
        hook.chmod(0o755)
        denied = weaver(*asked, "third", cwd=home)
        assert denied.returncode == 3, denied.stderr
        assert "nobody pushes here" in denied.stderr
        assert "git push origin third" in denied.stderr
        for name, code in (("main", 10), ("-x", 2), ("a..b", 2)):
            assert weaver(*asked[:-1], f"--branch={name}", cwd=home).returncode == code
        assert git(home, "rev-parse", "HEAD") == head
    finally:
        weaver("down", cwd=home)
