"""Bugs, interruptions and daemons that do not answer: one line, the mend, the right code."""

from __future__ import annotations

import re
import socket
import tempfile
from pathlib import Path

import pytest

from reconciler.cli import client
from reconciler.cli.session import Session
from reconciler.manifest import explain
from reconciler.runtime import socket_file
from tests.cli.shell import call
from tests.cli.stub import Reply, serving, text


def test_a_bug_gives_255_one_line_and_a_report_without_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> str:
        raise KeyError("no such thing")

    monkeypatch.setattr(explain, "explain", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = call("explain", "s3cr3t", cwd=tmp_path)
    assert (said.returncode, said.stdout) == (255, "")
    assert said.stderr.count("\n") == 1
    assert "internal error, a bug in weaver: KeyError" in said.stderr
    found = re.search(r"details: (\S+)\)", said.stderr)
    assert found is not None
    report = Path(found[1])
    assert "KeyError" in report.read_text()
    assert "s3cr3t" not in report.read_text()
    assert report.stat().st_mode & 0o077 == 0


def test_a_bug_in_diff_is_never_taken_for_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Session) -> str:
        raise RuntimeError

    monkeypatch.setattr(Session, "home", broken)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = call("diff", "--offline", cwd=tmp_path)
    assert said.returncode == 255


def test_ctrl_c_gives_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(explain, "explain", interrupted)
    said = call("explain", "name", cwd=tmp_path)
    assert (said.returncode, said.stderr) == (8, "\ncancelled\n")


def test_a_daemon_that_does_not_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ANSWER_WITHIN_S", 0.05)
    (tmp_path / ".weaver").mkdir()
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / ".weaver" / "weaver.sock"))
        deaf.listen()
        said = call("why", "web", cwd=tmp_path)
    assert said.returncode == 9
    assert "does not answer" in said.stderr
    assert "mend: " in said.stderr


def test_a_daemon_that_hangs_up_is_said_to_have_gone(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/why/web": Reply(body=b"half", declared=99)}):
        said = call("why", "web", cwd=tmp_path)
    assert said.returncode == 11
    assert "went away" in said.stderr


@pytest.mark.parametrize(("running", "code"), [(0, 11), (1, 0), (2, 11)])
def test_outside_of_a_repository_the_only_daemon_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, running: int, code: int
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    roots = [tmp_path / f"home-{number}" for number in range(running)]
    for root in roots:
        (root / "services.d").mkdir(parents=True)
    noted = [(str(root), str(root / ".weaver" / "weaver.sock")) for root in roots]
    monkeypatch.setattr(socket_file, "read_registry", lambda: noted)
    with serving(roots[0] if roots else tmp_path / "outside", {"/v1/why/web": text("because\n")}):
        monkeypatch.setattr("reconciler.cli.place.MARKS", ("services.d",))
        said = call("why", "web", cwd=outside)
    assert said.returncode == code
    if code:
        assert all(str(root) in said.stderr for root in roots)
        assert "mend: " in said.stderr
    else:
        assert said.stdout == "because\n"


def test_verbose_names_the_repository_and_the_socket(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/why/web": text("because\n")}):
        said = call("-v", "why", "web", cwd=tmp_path)
    assert said.stderr == f"repository {tmp_path}, socket {tmp_path}/.weaver/weaver.sock\n"
