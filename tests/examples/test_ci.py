"""The pieces for continuous integration, run as they are written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.examples.forge import Comments, Run, play, serving
from tests.examples.stack import PATH, ROOT

CI = ROOT / "examples" / "ci"
ENV = {
    "PATH": PATH,
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@b",
}
WEB = "name: web\ncommand: serve\nenv: {PORT: 1}\n"

pytestmark = pytest.mark.slow


def read(name: str) -> Any:
    """Read one of the pieces."""
    return YAML(typ="safe").load((CI / name).read_text("utf-8"))


def bash(script: str, cwd: Path, env: Mapping[str, str] = ENV) -> subprocess.CompletedProcess[str]:
    """Run a script."""
    return subprocess.run(
        ["bash", "-eo", "pipefail", "-c", script],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


class Fork:
    """A repository, a pull request that only it knows of, and the runner's clone of its main."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = folder / "origin"
        self.clone = folder / "clone"
        self.runs = 0
        self.origin.mkdir()
        self.git("init -q -b main")
        self.git("config uploadpack.allowAnySHA1InWant true")
        self.base = self.commit(web=WEB, db="name: db\ncommand: keep\n")
        bash(f"git clone -q file://{self.origin} {self.clone}", folder)

    def git(self, words: str) -> str:
        done = bash(f"git {words}", self.origin)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, **services: str) -> str:
        """Commit manifests, and give the commit."""
        (self.origin / "services.d").mkdir(exist_ok=True)
        for name, text in services.items():
            (self.origin / "services.d" / f"{name}.yaml").write_text(text)
        self.git("add -A")
        self.git("commit -q -m x")
        return self.git("rev-parse HEAD")

    def check(self, head: str, comments: Comments, **inputs: str) -> Run:
        """Run the action on the pull request."""
        self.runs += 1
        known = {
            "github.event.pull_request.base.sha": self.base,
            "github.event.pull_request.head.sha": head,
            "github.event.pull_request.number": "7",
            "github.token": "t0ken",
            **{f"inputs.{name}": text for name, text in inputs.items()},
        }
        with serving(comments) as address:
            return play(
                read("github/action.yml"),
                known,
                env={
                    **ENV,
                    "GITHUB_API_URL": address,
                    "GITHUB_REPOSITORY": "ana/shop",
                    "GITHUB_ACTION_PATH": str(CI / "github"),
                },
                cwd=self.clone,
                scratch=self.folder / f"run-{self.runs}",
            )

    def comment_again(self, comments: Comments) -> None:
        """Run the action's word to the forge once more, on what the last run compared."""
        with serving(comments) as address:
            env = {
                **ENV,
                "GITHUB_API_URL": address,
                "GITHUB_REPOSITORY": "ana/shop",
                "CODE": "1",
                "COMMENT_AUTHOR": comments.login,
                "COMMENT_TOKEN": comments.token,
                "PULL_REQUEST": "7",
            }
            text = self.folder / f"run-{self.runs}" / "weaver-diff.md"
            told = bash(f"python3 {CI}/github/comment.py {text}", self.clone, env)
        assert told.returncode == 0, told.stderr


@pytest.fixture
def fork(tmp_path: Path) -> Fork:
    return Fork(tmp_path)


def test_the_action_writes_one_comment_and_edits_it_in_place(fork: Fork) -> None:
    comments = Comments(token="t0ken")
    comments.add("<!-- weaver diff -->\nI am not yours", "mallory")
    for number in range(120):
        comments.add(f"chat {number}", "ana")
    first = fork.commit(web=WEB.replace("1", "2"))
    told = fork.check(first, comments, sarif=str(fork.folder / "weaver.sarif"))
    assert (told.code, told.outputs) == (0, {"code": "1"}), told.printed
    assert "::notice file=services.d/web.yaml,line=3,col=7,title=weaver%3A web" in told.printed
    assert len(comments.kept) == 122
    assert comments.kept[-1]["body"] == told.summary
    assert "1 running process affected: web." in told.summary
    assert (fork.folder / "weaver.sarif").read_text().startswith("{")
    second = fork.commit(web=f"{WEB}labels: {{team: a}}\n")
    told = fork.check(second, comments)
    assert len(comments.kept) == 122
    assert "No running process affected." in comments.kept[-1]["body"]
    assert comments.kept[0]["body"].endswith("I am not yours")
    fork.comment_again(comments)
    assert [line.partition(" ")[0] for line in comments.asked if "GET" not in line] == [
        "POST",
        "PATCH",
    ]


def test_the_action_is_silent_where_nothing_changes_and_fails_where_it_must(fork: Fork) -> None:
    comments = Comments(token="t0ken")
    told = fork.check(fork.base, comments)
    assert (told.code, told.outputs, comments.kept) == (0, {"code": "0"}, [])
    wrong = fork.commit(web=WEB.replace("command", "comand"))
    told = fork.check(wrong, comments)
    assert (told.code, told.outputs) == (2, {"code": "2"})
    assert "::error file=services.d/web.yaml,line=2,col=1,title=W201" in told.printed
    assert "W201" in comments.kept[0]["body"]
    assert fork.check("0" * 40, comments).code > 2


def test_a_token_that_may_not_comment_leaves_it_in_the_summary(fork: Fork) -> None:
    comments = Comments(token="another")
    head = fork.commit(web=WEB.replace("1", "2"))
    told = fork.check(head, comments)
    assert (told.code, comments.kept) == (0, [])
    assert "::warning::cannot write the comment: HTTP Error 403" in told.printed
    assert "1 running process affected: web." in told.summary
    assert len(fork.check(head, comments, comment="false").printed) < len(told.printed)


def test_nothing_a_person_can_choose_is_part_of_a_script() -> None:
    steps = read("github/action.yml")["runs"]["steps"]
    [job] = read("github/workflow.yml")["jobs"].values()
    assert all("${{" not in step.get("run", "") for step in [*steps, *job["steps"]])
    assert "ref" not in job["steps"][0]["with"], "the pull request itself is never checked out"
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used[-1] == "./.github/actions/weaver-diff"


def test_the_gitlab_job_reports_and_fails_as_it_must(fork: Fork) -> None:
    job = read("gitlab/weaver-diff.gitlab-ci.yml")["weaver-diff"]
    script = "\n".join(job["script"])
    # A merge request starts where main is, which goes on meanwhile.
    fork.git("checkout -q -b topic")
    fork.commit(web=WEB.replace("1", "2"))
    head = fork.git("rev-parse HEAD")
    env = {
        **ENV,
        "WEAVER_DIRECTORY": job["variables"]["WEAVER_DIRECTORY"],
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_COMMIT_SHA": head,
    }
    bash("git fetch -q origin topic && git checkout -q FETCH_HEAD", fork.clone)
    told = bash(script, fork.clone, env)
    assert told.returncode == 0, told.stderr
    report, [text] = job["artifacts"]["reports"]["junit"], job["artifacts"]["paths"]
    assert 'name="web"' in (fork.clone / report).read_text()
    assert (fork.clone / text).read_text() in told.stdout
    wrong = fork.commit(web=WEB.replace("command", "comand"))
    bash("git fetch -q origin topic", fork.clone)
    assert bash(script, fork.clone, {**env, "CI_COMMIT_SHA": wrong}).returncode == 2
    assert "<failure" in (fork.clone / report).read_text()


def test_the_hook_judges_what_is_about_to_be_committed(fork: Fork) -> None:
    hook = fork.origin / ".git" / "hooks" / "pre-commit"
    hook.write_bytes((CI / "pre-commit" / "pre-commit").read_bytes())
    hook.chmod(0o755)
    path = fork.origin / "services.d" / "web.yaml"
    path.write_text(WEB.replace("command", "comand"))
    refused = bash("git commit -q -a -m x", fork.origin)
    assert refused.returncode == 1
    assert "services.d/web.yaml:2:1" in refused.stdout + refused.stderr
    path.write_text(WEB.replace("1", "2"))
    passed = bash("git commit -q -a -m x", fork.origin)
    assert passed.returncode == 0
    assert "1 running process affected: web." in passed.stdout + passed.stderr
    [own] = read("pre-commit/.pre-commit-config.yaml")["repos"][0]["hooks"]
    assert own["entry"] in (CI / "pre-commit" / "pre-commit").read_text()
