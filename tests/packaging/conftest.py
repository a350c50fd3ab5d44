"""What the packaging tests share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def checkout() -> Path:
    """Give the root of this checkout."""
    return Path(__file__).resolve().parents[2]
