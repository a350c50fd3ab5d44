"""A real holder for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.holder.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Give a running holder of a fresh directory; whatever it started is ended after the test."""
    rig = Rig(tmp_path)
    rig.start()
    yield rig
    rig.close()
