"""What the simulation covered, for the closing lines of a test run."""

from __future__ import annotations

import pytest

COVERED = pytest.StashKey[list[str]]()
"""Sentences that tests leave, and `pytest_terminal_summary` prints."""
