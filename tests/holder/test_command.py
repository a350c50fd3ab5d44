"""A command that is not on its PATH, and which one was meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.native.command import closest_command, not_found


def program(folder: Path, name: str, mode: int = 0o755) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(mode)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        pytest.param("pyhton3", "python3", id="letters changed places"),
        pytest.param("gti", "git", id="a short one"),
        pytest.param("nodee", "node", id="a letter too many"),
        pytest.param("zzzzzz", "", id="nothing comes near"),
        pytest.param("secre", "", id="what is near cannot be executed"),
        pytest.param("direktory", "", id="what is near is a directory"),
        pytest.param("broke", "", id="what is near is a link to nothing"),
    ],
)
def test_what_comes_near_and_can_be_executed_was_meant(
    tmp_path: Path, name: str, meant: str
) -> None:
    for known in ("python3", "git", "node"):
        program(tmp_path / "bin", known)
    program(tmp_path / "sbin", "secret", 0o644)
    (tmp_path / "bin" / "directory").mkdir()
    (tmp_path / "bin" / "broken").symlink_to("nowhere")
    search = f"{tmp_path}/none:{tmp_path}/bin:relative::{tmp_path}/sbin"
    assert closest_command(name, search) == meant


def test_what_was_meant_is_said_without_the_whole_path(tmp_path: Path) -> None:
    program(tmp_path / "bin", "serve")
    search = f"{tmp_path}/bin"
    assert not_found("srve", search) == (
        "cannot run srve: not found on its PATH (did you mean serve?)"
    )
    assert not_found("nothing-like-it", search) == ""
