"""Show an answer that the daemon has rendered, in the width and colour of this terminal."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from reconciler.cli import fast, screen
from reconciler.cli.session import Session


def show(
    session: Session, path: str, query: dict[str, Any] | None = None, wait_s: float = 0.0
) -> int:
    """Print what the daemon answers to a question, and give its exit code."""
    answer = session.daemon().ask(path, {**(query or {}), **look(session)}, wait_s)
    screen.out_bytes(answer.body)
    return answer.code


def pour(session: Session, path: str, query: dict[str, Any]) -> None:
    """Print an answer as it comes, until it ends or somebody has had enough."""
    with suppress(KeyboardInterrupt):
        for chunk in session.daemon().stream(path, {**query, **look(session)}):
            screen.out_bytes(chunk)


def folded() -> dict[str, str]:
    """Have long lines broken, where a person reads them and no program."""
    return {"fold": "1"} if os.isatty(1) else {}


def look(session: Session) -> dict[str, Any]:
    """Give what the daemon must know of the place its text is shown at."""
    return {"width": fast.width(), "color": "1" if session.colour else "0"}
