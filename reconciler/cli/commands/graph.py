"""`weaver graph`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler import app
from reconciler.api import graph_text
from reconciler.api.graph_text import Graph
from reconciler.api.page import Page
from reconciler.api.wire.base import document
from reconciler.api.wire.catalogue import graph_document
from reconciler.cli import exits, screen, texts
from reconciler.cli.errors import CommandError
from reconciler.cli.options import ServiceName, command, formats
from reconciler.cli.root import close_names
from reconciler.cli.session import Session
from reconciler.model.units import ServiceName as Name


@command("graph")
@click.argument("name", required=False, type=ServiceName())
@click.option("--order", type=click.Choice(("start", "stop")), help="Give the steps instead.")
@formats("text", "mermaid", "dot", "json")
def graph_command(session: Session, name: str | None, order: str | None, output: str) -> int:
    """Show who needs whom; with a name, what is around that service.

    Without a daemon, the manifests are read as saved.
    """
    if _is_served(session):
        query = {"name": name, "order": order, "format": output}
        return texts.show(session, "/v1/graph", query)
    graph = _saved(Path(session.home()))
    if name is not None:
        graph = _around(graph, name)
    screen.out_bytes(_drawn(graph, order, output, Page(colour=session.colour)))
    return exits.OK


def _is_served(session: Session) -> bool:
    """Tell whether a daemon can answer; where none is meant at all, none can."""
    try:
        return session.daemon().answers()
    except CommandError:
        return False


def _saved(root: Path) -> Graph:
    """Read the graph of the manifests as saved."""
    definitions = app.open_offline(root).saved().manifests.definitions
    return Graph(needs={name: found.spec.needs for name, found in definitions.items()})


def _around(graph: Graph, name: str) -> Graph:
    """Give the part around a service; a CommandError where there is none."""
    if name not in graph.needs:
        near = close_names(name, graph.needs)
        mend = f"did you mean {near[0]}?" if near else "weaver graph shows all"
        raise CommandError(f"no service is named {name}", mend=mend, code=exits.NOT_FOUND)
    return graph.around(Name(name))


def _drawn(graph: Graph, order: str | None, output: str, page: Page) -> bytes:
    """Draw a graph in the form that was asked for."""
    if order:
        return graph_text.order(graph, stopping=order == "stop").encode()
    match output:
        case "json":
            return document(graph_document(graph))
        case "mermaid":
            return graph_text.mermaid(graph).encode()
        case "dot":
            return graph_text.dot(graph).encode()
        case _:
            return graph_text.tree(graph, page).encode()
