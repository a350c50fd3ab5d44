"""`weaver health`."""

from __future__ import annotations

import click

from reconciler.cli import texts
from reconciler.cli.options import ServiceName, command, formats
from reconciler.cli.session import Session


@command("health")
@click.argument("name", required=False, type=ServiceName())
@click.option("--check", is_flag=True, help="Exit 7 unless every instance is known to be healthy.")
@formats("table", "json")
def health_command(session: Session, name: str | None, output: str, check: bool) -> int:
    """Show what health checks say. With a name: the last checks of each of its instances."""
    return texts.show(session, "/v1/health", {"name": name, "format": output, "check": check})
