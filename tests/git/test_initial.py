"""Making a folder a repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.initial import git_init
from reconciler.adapters.git.state import head
from tests.git.asking import put, write
from tests.git.scratch import WEB, Scratch

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", ["fresh", "-x", "with space"])
def test_a_folder_becomes_a_repository_on_main(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    assert git_init(folder)
    assert head(locate(folder)).branch == "main"
    assert write(Scratch(top=folder, root=folder), put(WEB)).changed
    assert not git_init(folder)


def test_a_folder_inside_a_repository_stays_in_it(scratch: Scratch) -> None:
    inner = scratch.path("app")
    assert not git_init(inner)
    assert not (inner / ".git").exists()
    assert locate(inner).top == scratch.top
