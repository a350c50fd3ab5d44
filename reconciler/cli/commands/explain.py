"""`weaver explain`."""

from __future__ import annotations

import click

from reconciler.cli import fast, screen
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.manifest import explain

WIDEST = 100
"""Prose is not laid out any wider, however wide the terminal is."""


@command(
    "explain", epilog="\b\nExamples:\n  weaver explain ready.http\n  weaver explain git.autoCommit"
)
@click.argument("field", required=False)
def explain_command(_: Session, field: str | None) -> None:
    """Say what a field of a manifest or of weaver.yaml means; without one, list them all."""
    width = min(fast.width(), WIDEST)
    text = explain.explain(field, width=width) if field else explain.overview(width=width)
    screen.out(text.rstrip("\n"))
