"""Servers for the tests: one that is shared by those that only ask, one for each of the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.serving import Served, serving


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serve for one test."""
    with serving(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve for all tests of a module."""
    with serving(tmp_path_factory.mktemp("lasting")) as running:
        yield running
