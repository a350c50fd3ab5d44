"""Texts kept beside the tests: what was really made is compared, or with --rewrite written."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def check(request: pytest.FixtureRequest, path: Path, text: str) -> None:
    """Compare with the kept text; `pytest --rewrite` keeps the new one, for a person to review."""
    if request.config.getoption("--rewrite"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    else:
        assert text == path.read_text("utf-8")
