"""Verbs end with the daemon's exit code and words, whatever it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.findings import local_findings
from reconciler.runtime import followed
from reconciler.runtime.control import Grade
from reconciler.runtime.followed import Followed
from tests.cli.shell import call
from tests.cli.stub import Reply, Stub, ndjson, problem, serving, text

SET = ("set", "web", "env.A=1")
DONE = {
    "type": "summary",
    "exitCode": 0,
    "text": "web: set env.A=1 in 3f2c91a",
    "undo": "weaver undo",
}


def action(phase: str, service: str = "web", reason: str = "") -> Mapping[str, Any]:
    """Give a message about an action."""
    return {
        "type": "action",
        "service": service,
        "action": "restart",
        "phase": phase,
        "instance": None,
        "reason": reason,
    }


FAILED: tuple[Mapping[str, Any], ...] = (
    action("start"),
    action("failed", reason="exited with 1"),
    {
        "type": "problem",
        "title": "cannot restart web: exited with 1",
        "mend": "weaver logs web",
        "exitCode": 4,
        "errors": [],
        "service": "web",
        "logTail": ["boom", "\x1b[31mred"],
    },
    {
        "type": "summary",
        "exitCode": 4,
        "text": "web: set env.A=1 in 3f2c91a, and it failed",
        "undo": "weaver undo",
    },
)


def test_a_change_ends_with_what_which_commit_and_how_to_undo(tmp_path: Path) -> None:
    messages = ndjson(action("start"), action("done"), DONE)
    with serving(tmp_path, {"/v1/changes": messages}):
        said = call(*SET, cwd=tmp_path)
    assert said.returncode == 0
    assert said.stdout == "web: set env.A=1 in 3f2c91a (undo: weaver undo)\n"
    assert said.stderr == "  web  restarting\n  web  restarted\n"


def test_a_failure_shows_the_reason_the_last_log_lines_and_the_mend(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/changes": ndjson(*FAILED)}):
        said = call(*SET, cwd=tmp_path)
    assert (said.returncode, said.stdout) == (4, "")
    assert (
        said.stderr
        == """\
  web  restarting
  web  cannot restart: exited with 1
weaver: cannot restart web: exited with 1
    | boom
    | \\x1b[31mred
    mend: weaver logs web
web: set env.A=1 in 3f2c91a, and it failed (undo: weaver undo)
"""
    )


def test_quiet_says_nothing_about_success(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/changes": ndjson(action("start"), action("done"), DONE)}):
        said = call("-q", *SET, cwd=tmp_path)
    assert (said.stdout, said.stderr, said.returncode) == ("", "", 0)


def test_quiet_still_says_what_failed(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/changes": ndjson(*FAILED)}):
        said = call(*SET, "-q", cwd=tmp_path)
    assert said.stderr.startswith("weaver: cannot restart web")


def test_json_passes_every_message_on_as_a_line(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/changes": ndjson(*FAILED)}):
        said = call(*SET, "-o", "json", cwd=tmp_path)
    assert said.returncode == 4
    assert [json.loads(line) for line in said.stdout.splitlines()] == [dict(m) for m in FAILED]


def test_a_stream_without_a_summary_is_a_daemon_that_went_away(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/changes": ndjson(action("start"))}):
        said = call(*SET, cwd=tmp_path)
    assert said.returncode == 11
    assert "went away" in said.stderr


def ask(tmp_path: Path, *arguments: str, stdin: str = "") -> Stub:
    """Run a verb against a daemon that does everything, and give what it was asked."""
    replies: dict[str, Reply] = dict.fromkeys(
        ("/v1/changes", "/v1/operations", "/v1/shutdown", "/v1/prune/p1/approve"), ndjson(DONE)
    )
    replies["/v1/status"] = text("api\nweb\n")
    with serving(tmp_path, replies) as stub:
        said = call(*arguments, cwd=tmp_path, stdin=stdin)
    assert said.returncode == 0, said.stderr
    return stub


TERMS = {"wait": True, "timeout": 300.0}


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (
            SET,
            "/v1/changes",
            {
                "kind": "set",
                "service": "web",
                "assignments": [{"path": "env.A", "value": "1"}],
                "dryRun": False,
            },
        ),
        (
            ("set", "web", "env.A-", "--dry-run"),
            "/v1/changes",
            {
                "kind": "set",
                "service": "web",
                "assignments": [{"path": "env.A", "value": None}],
                "dryRun": True,
            },
        ),
        (
            ("scale", "web=4", "api=0", "--dry-run"),
            "/v1/changes",
            {"kind": "scale", "instances": {"web": 4, "api": 0}, "dryRun": True},
        ),
        (("start", "web"), "/v1/changes", {"kind": "start", "services": ["web"]}),
        (
            ("stop", "web", "--only"),
            "/v1/changes",
            {"kind": "stop", "services": ["web"], "withDependents": False, "only": True},
        ),
        (
            ("stop", "--all", "--with-dependents"),
            "/v1/changes",
            {"kind": "stop", "services": ["api", "web"], "withDependents": True, "only": False},
        ),
        (
            ("restart", "-l", "tier=web"),
            "/v1/operations",
            {"kind": "restart", "services": ["api", "web"]},
        ),
        (
            ("service", "restart", "db", "-l", "tier=web"),
            "/v1/operations",
            {"kind": "restart", "services": ["db", "api", "web"]},
        ),
        (
            ("unregister", "web", "--cascade"),
            "/v1/changes",
            {"kind": "unregister", "services": ["web"], "cascade": True},
        ),
        (
            ("register", "web", "--", "python3", "-m", "x"),
            "/v1/changes",
            {"kind": "register", "service": "web", "text": "name: web\ncommand: python3 -m x\n"},
        ),
        (
            ("apply", "-f", "-", "--if-revision", "3f2c91a"),
            "/v1/changes",
            {
                "kind": "apply",
                "documents": [{"text": "name: web\n"}],
                "dryRun": False,
                "ifRevision": "3f2c91a",
            },
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_verb_asks_for_what_was_typed(
    tmp_path: Path, arguments: tuple[str, ...], path: str, body: Mapping[str, Any]
) -> None:
    method, asked, _, sent = ask(tmp_path, *arguments, stdin="name: web\n").last
    assert (method, asked) == ("POST", path)
    assert {key: sent.pop(key) for key in ("author", "reason")}["reason"] == ""
    assert sent == {**body, **TERMS}


def test_terms_and_reason_are_sent_along(tmp_path: Path) -> None:
    sent = ask(tmp_path, "stop", "web", "-m", "incident 42", "--no-wait", "--timeout", "90s").last[
        3
    ]
    assert (sent["wait"], sent["timeout"], sent["reason"]) == (False, 90.0, "incident 42")


def test_undo_down_and_approve_have_routes_of_their_own(tmp_path: Path) -> None:
    assert ask(tmp_path, "undo").last[3]["kind"] == "undo"
    stub = ask(tmp_path, "down", "--keep-services")
    assert (stub.last[1], stub.last[3]["keepServices"]) == ("/v1/shutdown", True)
    assert ask(tmp_path, "prune", "approve", "p1").last[1] == "/v1/prune/p1/approve"


def test_the_author_is_the_one_git_would_write(tmp_path: Path) -> None:
    env = {"GIT_AUTHOR_NAME": "Ana", "GIT_AUTHOR_EMAIL": "ana@example.org"}
    with serving(tmp_path, {"/v1/changes": ndjson(DONE)}) as stub:
        call(*SET, cwd=tmp_path, env=env)
    assert stub.last[3]["author"] == {"name": "Ana", "email": "ana@example.org"}


def test_a_directory_is_applied_without_its_hidden_files(tmp_path: Path) -> None:
    folder = tmp_path / "more" / "inner"
    (folder / ".git").mkdir(parents=True)
    for name in ("b.yaml", "a.json", "note.txt", ".c.yaml", ".git/d.yaml"):
        (folder / name).write_text(f"name: {name}\n")
    sent = ask(tmp_path, "apply", "-f", "more").last[3]
    assert [document["path"] for document in sent["documents"]] == [
        "more/inner/a.json",
        "more/inner/b.yaml",
    ]


@pytest.mark.parametrize("place", ["/dev/zero", "-"])
def test_y19_what_never_ends_is_not_read_to_its_end(tmp_path: Path, place: str) -> None:
    said = call("apply", "-f", place, cwd=tmp_path, stdin="#" * (2 << 20))
    assert (said.returncode, said.stdout) == (2, "")
    assert f"cannot read {place}: it has more than the 1,048,576 bytes" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("frobnicate",), 2, "no such command: frobnicate"),
        (("statu",), 2, "did you mean `status`"),
        (("logs", "--folow"), 2, "did you mean `--follow`"),
        (("set", "web"), 2, "missing argument"),
        (("set", "web", "env.A"), 2, "`env.A` is no PATH=VALUE"),
        (("register", "web", "-e", "A", "--", "x"), 2, "`A` is no KEY=VALUE"),
        (("register", "web"), 2, "what shall run?"),
        (("start",), 2, "which service?"),
        (("start", "web", "--all"), 2, "--all stands alone"),
        (("stop", "web", "--only", "--with-dependents"), 2, "exclude each other"),
        (("stop", "-l", "tier", "x"), 2, "`tier` is no key=value"),
        (("wait", "web"), 2, "missing option '--for'"),
        (("wait", "web", "--for", "ready", "--timeout", "90"), 2, "`90` is no duration"),
        (("events", "--since", "soon"), 2, "`soon` is no time"),
        (("status", "-o", "xml"), 2, "`xml` is not one of table"),
        (("-o", "json", "init"), 2, "no such option: -o"),
        (("new", "api", "Web"), 2, "`Web` cannot name a service"),
        (("apply", "-f", "missing.yaml"), 6, "cannot read missing.yaml"),
        (("-C", "missing", "status"), 6, "cannot use missing"),
        (("status",), 11, "no daemon runs for"),
        (("start", "web"), 11, "no daemon runs for"),
        (("logs", "web"), 11, "weaver up --detach"),
        (("edit", "web"), 11, "no daemon runs for"),
        (("down",), 11, "no daemon runs for"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_exit_codes(tmp_path: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    (tmp_path / "services.d").mkdir()
    said = call(*arguments, cwd=tmp_path)
    assert (said.returncode, said.stdout) == (code, "")
    assert words in said.stderr
    assert "mend: " in said.stderr


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 9, 10])
def test_a_problem_of_the_daemon_gives_its_exit_code(tmp_path: Path, code: int) -> None:
    with serving(tmp_path, {"/v1/why/web": problem(409, code, "cannot say why: no", "wait")}):
        said = call("why", "web", cwd=tmp_path)
    assert said.returncode == code
    assert said.stderr == "weaver: cannot say why: no\n    mend: wait\n"


@pytest.mark.parametrize(("option", "is_told"), [((), False), (("-v",), True)])
def test_doctor_tells_of_the_library_where_more_is_asked_for(
    tmp_path: Path, option: tuple[str, ...], is_told: bool
) -> None:
    found = {"check": "library", "grade": "ok", "text": "SQLite 3 is fine", "mend": ""}
    replies = {
        "/v1/doctor": Reply(body=json.dumps({"findings": [found]}).encode()),
        "/v1/status": Reply(body=json.dumps({"daemon": {"version": "1", "pid": 7}}).encode()),
    }
    with serving(tmp_path, replies):
        said = call("doctor", *option, cwd=tmp_path)
    assert ("SQLite 3 is fine" in said.stdout) == is_told


@pytest.mark.parametrize("said", [["web"], ["web=two"], ["=2"], ["web=-1"], ["web=2", "web=3"]])
def test_a_scale_that_names_no_number_or_two_is_refused(tmp_path: Path, said: list[str]) -> None:
    with serving(tmp_path, {}) as stub:
        done = call("scale", *said, cwd=tmp_path)
    assert done.returncode == 2
    assert "mend:" in done.stderr
    assert "/v1/changes" not in stub.paths()


def test_no_line_of_a_reason_can_pass_for_a_trailer(tmp_path: Path) -> None:
    summary = {"type": "summary", "exitCode": 0, "text": "done"}
    with serving(tmp_path, {"/v1/operations": ndjson(summary)}) as stub:
        call("restart", "web", "-m", " it hangs\n\nWeaver-Actor: uid:0\t\x1b", cwd=tmp_path)
    [reason] = {body["reason"] for _, _, _, body in stub.asked if body and "reason" in body}
    assert reason == "it hangs Weaver-Actor: uid:0"


def test_doctor_asks_for_no_repository_where_a_branch_elsewhere_is_followed(tmp_path: Path) -> None:
    state = tmp_path / ".weaver"
    state.mkdir()
    followed.write(state, Followed(url="https://a:secret@example.org/deploy.git", branch="main"))
    found = {one.check: one for one in local_findings(tmp_path, state)}
    assert "services.d" not in found
    assert found["repository"].grade is Grade.OK
    assert found["repository"].text == "main of https://example.org/deploy.git is followed"
    (state / followed.NOTE).write_text("{")
    broken = {one.check: one for one in local_findings(tmp_path, state)}["repository"]
    assert (broken.grade, "weaver up --repo" in broken.mend) == (Grade.PROBLEM, True)


def test_a_repository_whose_address_is_empty_is_not_taken_for_the_files_here(
    tmp_path: Path,
) -> None:
    said = call("up", str(tmp_path / "home"), "--repo", "", "--detach", cwd=tmp_path)
    assert said.returncode == 2
    assert "--repo names no repository" in said.stderr
    assert not (tmp_path / "home").exists()
