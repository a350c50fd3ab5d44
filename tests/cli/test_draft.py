"""The manifest that `register` writes says exactly what was typed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.draft import Draft, inside, manifest, program
from reconciler.manifest.parse import parse
from reconciler.manifest.validate import check
from reconciler.model.spec import ServiceSpec

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0$"), max_size=20)


def read(text: str) -> ServiceSpec:
    """Read a manifest as the daemon does."""
    found = check(parse("services.d/x.yaml", text.encode()))
    assert found.diagnostics == ()
    return found.readings[0].definition.spec


@given(st.lists(WORDS, max_size=4))
def test_the_words_of_a_command_survive(words: list[str]) -> None:
    command = ["serve", *words]
    assert read(manifest(Draft(name="web", command=command))).command == tuple(command)


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), WORDS, max_size=3))
def test_the_environment_survives(env: dict[str, str]) -> None:
    found = read(manifest(Draft(name="web", command=["x"], env=list(env.items()))))
    assert dict(found.env) == env


@pytest.mark.parametrize(
    "word",
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
    ],
)
def test_what_yaml_would_read_as_something_else_stays_text(word: str) -> None:
    assert read(manifest(Draft(name="web", command=["echo", word]))).command == ("echo", word)


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
envFile: [.env]
dependsOn: [db]
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
    tmp_path: Path, words: Sequence[str], where: str, expected: str
) -> None:
    root = tmp_path.resolve()
    assert program(str(root), words, str(root / where))[0] == expected


def test_a_path_outside_of_the_repository_stays_absolute(tmp_path: Path) -> None:
    root = tmp_path.resolve() / "repo"
    assert inside(str(root), str(root / "app")) == "app"
    assert inside(str(root), str(root) + "-too") == f"{root}-too"
