"""Real daemons, each in a repository of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import settings
from tests.real.station import Station, station


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Station]:
    root = tmp_path / "repo"
    root.mkdir()
    with station(root) as made:
        yield made


@pytest.fixture
def open_here() -> Iterator[Station]:
    """Give a repository that processes of other users may enter."""
    with settings.open_place() as folder:
        root = folder / "repo"
        root.mkdir()
        with station(root) as made:
            yield made
