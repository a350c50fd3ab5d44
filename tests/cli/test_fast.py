"""The fast path: `weaver status` without a framework."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import fast, place
from reconciler.runtime.paths import StatePaths
from tests.cli.shell import surroundings, weaver
from tests.cli.stub import Reply, problem, serving, text

TABLE = "NAME  STATE\nweb   running\n"

ALLOWED = {
    "reconciler",
    "reconciler.__main__",
    "reconciler.cli",
    "reconciler.cli.fast",
    "reconciler.cli.place",
    "reconciler.runtime",
    "reconciler.runtime.socket_file",
    "_socket",
    "__future__",
}

LIST_MODULES = """
import sys
before = set(sys.modules)
from reconciler.cli import fast
code = fast.answer(["status", "-C", sys.argv[1]])
assert code == 0, code
sys.stderr.write("\\n".join(sorted(set(sys.modules) - before)))
"""


def test_the_fast_path_imports_nothing_but_sockets(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/status": text(TABLE)}):
        said = subprocess.run(
            [sys.executable, "-c", LIST_MODULES, str(tmp_path)],
            env=surroundings(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert said.stdout == TABLE
    assert set(said.stderr.split()) <= ALLOWED


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["status"], {}),
        (["service", "status"], {}),
        (["status", "web", "api"], {"name": ["web", "api"]}),
        (["-o", "json", "status"], {"format": ["json"]}),
        (["status", "--output=wide"], {"format": ["wide"]}),
        (["-C", "x", "status", "--check"], {"directory": ["x"], "check": ["1"]}),
        (["status", "-l", "a=b", "-l", "c=d"], {"selector": ["a=b", "c=d"]}),
        (["status", "--no-color", "--problems"], {"no_color": ["1"], "problems": ["1"]}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_plain_questions_are_understood(arguments: list[str], expected: fast.Options) -> None:
    assert fast.parse(arguments) == expected


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["status", "--help"],
        ["status", "--watch"],
        ["status", "-q"],
        ["status", "-o"],
        ["status", "-o", "xml"],
        ["status", "--check=1"],
        ["status", "-l=a=b"],
        ["service", "list"],
        ["logs"],
        ["web", "status"],
    ],
    ids=" ".join,
)
def test_everything_else_is_left_to_the_full_command_line(arguments: list[str]) -> None:
    assert fast.parse(arguments) is None


def test_the_daemons_text_and_exit_code_are_passed_on(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/status": text(TABLE, code=7)}) as stub:
        said = weaver("status", "web", "--check", cwd=tmp_path, env={"COLUMNS": "72"})
    assert (said.stdout, said.stderr, said.returncode) == (TABLE, "", 7)
    assert stub.last[2] == {
        "name": ["web"],
        "check": ["1"],
        "format": ["table"],
        "width": ["72"],
        "color": ["0"],
    }


def test_json_is_passed_through_byte_for_byte(tmp_path: Path) -> None:
    body = json.dumps({"services": ["é" * 100_000]}).encode()
    with serving(tmp_path, {"/v1/status": Reply(body=body)}):
        said = weaver("status", "-o", "json", cwd=tmp_path)
    assert said.stdout.encode() == body


def test_names_are_encoded_for_the_query(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/status": text("")}) as stub:
        weaver("status", "-l", "team=a b&c", "naïve", cwd=tmp_path)
    assert stub.last[2]["selector"] == ["team=a b&c"]
    assert stub.last[2]["name"] == ["naïve"]


def test_a_problem_is_said_in_words_by_the_full_command_line(tmp_path: Path) -> None:
    replies = {"/v1/status": problem(404, 6, "no service `wbe`", "did you mean `web`?")}
    with serving(tmp_path, replies):
        said = weaver("status", "wbe", cwd=tmp_path)
    assert said.returncode == 6
    assert said.stderr == "weaver: no service `wbe`\n    mend: did you mean `web`?\n"


def test_an_answer_that_was_cut_short_is_not_shown_as_whole(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/status": Reply(body=b"half", declared=99)}):
        said = weaver("status", cwd=tmp_path)
    assert said.returncode == 11
    assert said.stdout == ""
    assert "went away" in said.stderr


def test_a_reader_that_leaves_early_is_no_fault(tmp_path: Path) -> None:
    with serving(tmp_path, {"/v1/status": text("x" * 1_000_000)}):
        said = subprocess.run(
            f"{sys.executable} -m reconciler status | head -c 1; echo ${{PIPESTATUS[0]}}",
            shell=True,
            executable="/bin/bash",
            cwd=tmp_path,
            env=surroundings(),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert (said.stdout, said.stderr) == ("x0\n", "")


def test_the_nearest_parent_with_a_mark_is_the_repository(tmp_path: Path) -> None:
    inner = tmp_path / "outer" / "inner"
    (tmp_path / "outer" / "services.d").mkdir(parents=True)
    (inner / "app").mkdir(parents=True)
    assert place.nearest(str(inner / "app")) == str(tmp_path / "outer")
    (inner / "weaver.yaml").touch()
    assert place.nearest(str(inner / "app")) == str(inner)


def test_weaver_dir_counts_only_outside_of_any_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, outside, named = (tmp_path / name for name in ("inside", "outside", "named"))
    for directory in (inside / "services.d", outside, named):
        directory.mkdir(parents=True)
    monkeypatch.setenv("WEAVER_DIR", str(named))
    monkeypatch.chdir(inside)
    assert place.named_root(None) == str(inside)
    monkeypatch.chdir(outside)
    assert place.named_root(None) == str(named)
    assert place.named_root(str(inside)) == str(inside)


@pytest.mark.parametrize("depth", [1, 3], ids=["short path", "path over 107 bytes"])
def test_the_socket_is_looked_for_where_the_daemon_puts_it(tmp_path: Path, depth: int) -> None:
    root = tmp_path.joinpath(*["a" * 50] * depth)
    (root / "services.d").mkdir(parents=True)
    expected = str(StatePaths.of(root).socket)
    assert len(os.fsencode(expected)) <= 107
    assert fast.socket_path({"directory": [str(root)]}) == expected


def test_a_state_directory_elsewhere_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "services.d").mkdir()
    monkeypatch.setenv("WEAVER_STATE_DIR", str(tmp_path / "state"))
    expected = str(StatePaths.of(tmp_path, tmp_path / "state").socket)
    assert fast.socket_path({"directory": [str(tmp_path)]}) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"HTTP/1.1 200 OK\r\nWeaver-Exit-Code: 7\r\nContent-Length: 1\r\n\r\nx", 7),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", None),
        (b"HTTP/1.1 404 Not Found\r\nWeaver-Exit-Code: 6\r\nContent-Length: 0\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nWeaver-Exit-Code: 0\r\nTransfer-Encoding: chunked\r\n\r\n0", None),
        (b"", None),
    ],
    ids=["good", "no exit code", "not found", "chunked", "nothing"],
)
def test_only_a_complete_good_answer_counts(reply: bytes, expected: int | None) -> None:
    assert fast.exit_code(reply) == expected
