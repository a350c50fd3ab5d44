"""The manifest that `register` writes says exactly what was typed."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from reconciler.cli.draft import Draft, inside, manifest, program, scalar

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20)


def read(text: str) -> dict[str, object]:
    """Read YAML as an editor's parser would."""
    found: dict[str, object] = YAML(typ="safe", pure=True).load(text)
    return found


@given(WORDS)
def test_every_string_is_read_back_as_written(text: str) -> None:
    assert read(f"key: {scalar(text)}\n") == {"key": text}


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "Null",
        "~",
        "3.10",
        "0800",
        "1e3",
        "12:30",
        "2025-01-31",
        "- a",
        "a: b",
        "a #b",
        "",
        " a",
        "a ",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "`x",
        "[a]",
        "{a}",
        "|",
        ">",
        "'",
        '"',
        "a\nb",
        ".inf",
        "0x1f",
        "=",
        "a:",
        ":a",
        "true",
        "?",
        "x: ",
        "--",
        "---",
        "...",
    ],
)
def test_what_yaml_would_read_as_something_else_is_quoted(text: str) -> None:
    assert read(f"key: {scalar(text)}\n") == {"key": text}


@given(st.lists(WORDS.filter(lambda word: "\0" not in word), min_size=1, max_size=5))
def test_the_words_of_a_command_survive(words: list[str]) -> None:
    found = read(manifest(Draft(name="web", command=words)))
    assert shlex.split(str(found["command"])) == words


def test_only_what_was_said_is_written() -> None:
    assert manifest(Draft(name="web", command=["python", "-m", "http.server"])) == (
        "name: web\ncommand: python -m http.server\n"
    )


def test_everything_that_was_said_is_written() -> None:
    draft = Draft(
        name="web",
        command=["./serve", "a b"],
        cwd="app",
        env=[("PORT", "0800"), ("A", "")],
        env_files=[".env"],
        instances=2,
        needs=["db"],
        type="oneshot",
    )
    assert (
        manifest(draft)
        == """\
name: web
command: ./serve 'a b'
cwd: app
type: oneshot
instances: 2
env:
  PORT: 0800
  A: ""
envFile:
  - .env
dependsOn:
  - db
"""
    )


@pytest.mark.parametrize(
    ("words", "where", "expected"),
    [
        (["python", "x"], "app", "python"),
        (["/bin/true"], "app", "/bin/true"),
        (["./serve"], "app", "app/serve"),
        (["./serve"], ".", "./serve"),
        (["bin/serve"], ".", "bin/serve"),
        (["../serve"], "app", "./serve"),
    ],
)
def test_a_relative_program_is_named_from_the_repositorys_top(
    tmp_path: Path, words: list[str], where: str, expected: str
) -> None:
    root = tmp_path.resolve()
    assert program(str(root), words, str(root / where))[0] == expected


def test_a_path_outside_of_the_repository_stays_absolute(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "repo"
    assert inside(str(root), str(root / "app")) == "app"
    assert inside(str(root), str(root) + "-too") == f"{root}-too"
