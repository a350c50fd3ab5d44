"""`weaver new`: a commented manifest to edit."""

from __future__ import annotations

import re
from pathlib import Path

import click

from reconciler.cli import exits, screen
from reconciler.cli.errors import CommandError
from reconciler.cli.options import command
from reconciler.cli.session import Session
from reconciler.cli.templates import KINDS, kind_text

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


@command("new", epilog="\b\nExample:\n  weaver new api shop")
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("name")
def new_command(session: Session, kind: str, name: str) -> None:
    """Write a commented manifest, services.d/NAME.yaml, stopped until you start it."""
    if not NAME.fullmatch(name):
        raise CommandError(
            f"`{name}` cannot name a service",
            mend="use a-z, 0-9, - and ., at most 63, a letter or digit at both ends",
            code=exits.USAGE,
        )
    root = Path(session.home())
    path = root / "services.d" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as manifest:
            manifest.write(kind_text(kind, name))
    except FileExistsError:
        raise CommandError(
            f"{path.relative_to(root)} exists already",
            mend=f"weaver edit {name}",
            code=exits.CONFLICT,
        ) from None
    screen.out(f"wrote {path.relative_to(root)}; edit it, then: weaver start {name}")
