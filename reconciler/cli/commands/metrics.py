"""`weaver metrics`."""

from __future__ import annotations

from urllib.parse import quote

import click

from reconciler.cli import texts
from reconciler.cli.options import ServiceName, command, formats
from reconciler.cli.session import Session


@command("metrics")
@click.argument("name", required=False, type=ServiceName())
@formats("table", "json", "prometheus")
def metrics_command(session: Session, name: str | None, output: str) -> int:
    """Show what services use: processor, memory, open files. With `-o prometheus`: /metrics."""
    path = f"/v1/metrics/{quote(name)}" if name else "/v1/metrics"
    return texts.show(session, path, {"format": output})
