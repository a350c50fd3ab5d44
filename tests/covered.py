"""What tests covered, for the closing lines of a run."""

from __future__ import annotations

from collections.abc import Callable

COVERED = "covered"
"""The property of a test's report that holds such a sentence."""
Tell = Callable[[str], None]
"""Takes one; the fixture `tell` gives it."""
