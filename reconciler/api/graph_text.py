"""Draw who needs whom: as a tree, as an order, and for the tools that draw graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.api.human import plain
from reconciler.api.page import Page, Paint, paint
from reconciler.core.graph import reach, reverse, topological
from reconciler.model.spec import Need
from reconciler.model.units import ServiceName

MOST_TREE_LINES = 2000
"""A graph of many paths has more of them than anybody can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """Services and their needs."""

    needs: Mapping[ServiceName, Sequence[Need]]
    states: Mapping[ServiceName, str] = field(default_factory=dict)
    """What is said of each beside its name; empty where nothing runs."""

    @property
    def edges(self) -> dict[ServiceName, list[ServiceName]]:
        """Give each service's needs by name, those that are services."""
        return {
            name: sorted({need.service for need in needs if need.service in self.needs})
            for name, needs in self.needs.items()
        }

    def around(self, name: ServiceName) -> Graph:
        """Give the part that a service needs or is needed by, directly or not."""
        edges = self.edges
        near = reach(edges, [name]) | reach(reverse(edges), [name])
        return Graph(
            needs={n: needs for n, needs in self.needs.items() if n in near}, states=self.states
        )


def tree(graph: Graph, page: Page) -> str:
    """Give a tree: what nobody needs first, its needs below it.

    >>> web, api, db = map(ServiceName, ("web", "api", "db"))
    >>> shop = Graph(needs={web: [Need(service=api), Need(service=db)],
    ...                     api: [Need(service=db)], db: []})
    >>> print(tree(shop, Page()), end="")
    web
    ├─ api (ready)
    │  └─ db (ready)
    └─ db (ready)
    """
    dependents = reverse(graph.edges)
    roots = [name for name in topological(graph.edges) if not dependents[name]]
    knots = set(graph.needs) - reach(graph.edges, roots)
    lines: list[str] = []
    for root in [*sorted(roots), *sorted(knots)]:
        lines.append(_node(graph, root, "", page))
        for line in _branches(graph, root, page):
            if len(lines) == MOST_TREE_LINES:
                return "\n".join([*lines, "... `weaver graph NAME` shows a part"]) + "\n"
            lines.append(line)
    return "\n".join(lines) + "\n" if lines else "No services are defined yet.\n"


def _branches(graph: Graph, root: ServiceName, page: Page) -> Iterator[str]:
    """Give the lines below a root, depth first; what was drawn before is not drawn again."""
    drawn: set[ServiceName] = {root}
    walk = [("", iter(_needs(graph, root)))]
    while walk:
        prefix, rest = walk[-1]
        entry = next(rest, None)
        if entry is None:
            walk.pop()
            continue
        need, is_last = entry
        below = _needs(graph, need.service)
        again = need.service in drawn and bool(below)
        drawn.add(need.service)
        said = f"{need.condition}, see above" if again else need.condition.value
        yield prefix + ("└─ " if is_last else "├─ ") + _node(graph, need.service, said, page)
        if below and not again:
            walk.append((prefix + ("   " if is_last else "│  "), iter(below)))


def _needs(graph: Graph, name: ServiceName) -> list[tuple[Need, bool]]:
    """Give a service's needs by name, each with whether it is the last one."""
    needs = sorted(graph.needs.get(name, ()), key=lambda need: need.service)
    return [(need, need is needs[-1]) for need in needs]


def _node(graph: Graph, name: ServiceName, said: str, page: Page) -> str:
    """Give one service with what is said of it."""
    state = graph.states.get(name, "" if name in graph.needs else "not defined")
    condition = f" ({said})" if said else ""
    return f"{plain(name)}{condition}{paint('  ' + state, Paint.DIM, page) if state else ''}"


def order(graph: Graph, *, stopping: bool = False) -> str:
    r"""Give the steps in which services start or stop; those of one step go side by side.

    >>> web, api, db = map(ServiceName, ("web", "api", "db"))
    >>> shop = Graph(needs={web: [Need(service=db)], api: [Need(service=db)], db: []})
    >>> print(order(shop), order(shop, stopping=True), sep="---\n", end="")
    1. db
    2. api, web
    ---
    1. api, web
    2. db
    """
    steps: dict[ServiceName, int] = {}
    edges = graph.edges
    for name in topological(edges):
        steps[name] = 1 + max((steps.get(need, 0) for need in edges[name]), default=0)
    groups: dict[int, list[str]] = {}
    for name, step in steps.items():
        groups.setdefault(step, []).append(plain(name))
    numbers = sorted(groups, reverse=stopping)
    lines = [f"{n}. {', '.join(sorted(groups[step]))}" for n, step in enumerate(numbers, start=1)]
    return "\n".join(lines) + "\n" if lines else "No services are defined yet.\n"


def mermaid(graph: Graph) -> str:
    """Give the graph for Mermaid, which forges draw inside Markdown.

    >>> web, db = map(ServiceName, ("web", "db"))
    >>> print(mermaid(Graph(needs={web: [Need(service=db)], db: []})), end="")
    graph TD
      n0["db"]
      n1["web"]
      n1 -->|ready| n0
    """
    return _drawn(
        graph,
        head="graph TD",
        node=lambda key, name: f'  {key}["{name}"]',
        edge=lambda here, there, label: f"  {here} -->|{label}| {there}",
    )


def dot(graph: Graph) -> str:
    """Give the graph for Graphviz.

    >>> web, db = map(ServiceName, ("web", "db"))
    >>> print(dot(Graph(needs={web: [Need(service=db)], db: []})), end="")
    digraph services {
      n0 [label="db"];
      n1 [label="web"];
      n1 -> n0 [label="ready"];
    }
    """
    return _drawn(
        graph,
        head="digraph services {",
        node=lambda key, name: f'  {key} [label="{name}"];',
        edge=lambda here, there, label: f'  {here} -> {there} [label="{label}"];',
        foot="}\n",
    )


def _drawn(
    graph: Graph,
    *,
    head: str,
    node: Callable[[str, str], str],
    edge: Callable[[str, str, str], str],
    foot: str = "",
) -> str:
    """Write nodes under numbers, so that no name can be read as syntax, then edges."""
    missing = {need.service for needs in graph.needs.values() for need in needs}
    names = topological(graph.edges) + sorted(missing - set(graph.needs))
    keys = {name: f"n{number}" for number, name in enumerate(names)}
    lines = [head, *(node(key, _quoted(name)) for name, key in keys.items())]
    for name in names:
        for need, _ in _needs(graph, name):
            lines.append(edge(keys[name], keys[need.service], need.condition))
    return "\n".join(lines) + "\n" + foot


def _quoted(name: str) -> str:
    """Keep a name from ending the quotes that it is written in."""
    return plain(name).replace("\\", "").replace('"', "'")
