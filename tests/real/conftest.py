"""Real daemons, each in a repository of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.station import Station, station


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Station]:
    root = tmp_path / "repo"
    root.mkdir()
    with station(root) as made:
        yield made
