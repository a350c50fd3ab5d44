"""Scratch repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.git.scratch import DB, WEB, Scratch, make


@pytest.fixture
def empty(tmp_path: Path) -> Scratch:
    """Give a repository without a commit."""
    return make(tmp_path / "repository")


@pytest.fixture
def scratch(empty: Scratch) -> Scratch:
    """Give a repository with two services committed."""
    empty.write("services.d/web.yaml", WEB)
    empty.write("services.d/db.yaml", DB)
    empty.write("app/main.py", "print('hello')\n")
    empty.commit("two services")
    return empty
