"""A real holder for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import settings
from tests.holder.rig import Rig


@pytest.fixture
def rig(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Give a running holder of a fresh directory; whatever it started is ended after the test.

    It runs in the setting that the test asks for, see tests/settings.py.
    """
    setting = getattr(request, "param", settings.AS_IT_IS)
    with settings.place(setting, tmp_path) as root:
        rig = Rig(root, setting)
        rig.start()
        yield rig
        rig.close()
