"""Order services by their needs.

All functions are iterative: a chain of ten thousand services is no deeper than one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush

from reconciler.model.units import ServiceName

Needs = Mapping[ServiceName, Iterable[ServiceName]]


def topological(needs: Needs) -> list[ServiceName]:
    """Order services so that each comes after its needs; ties by name.

    Needs that are not keys are ignored. Members of a cycle stand together, by name, and count as
    one that bears the first name: an order always covers every service exactly once.

    >>> topological({"web": ["api"], "api": ["db"], "db": []})
    ['db', 'api', 'web']
    >>> topological({"a": ["y"], "y": ["z"], "z": ["y"]})
    ['y', 'z', 'a']
    """
    order = _unknotted(needs)
    if len(order) == len(needs):
        return order
    members = {min(knot): sorted(knot) for knot in _knots(needs)}
    home = {name: first for first, names in members.items() for name in names}
    between = {
        first: {home[need] for name in names for need in _known(needs, name)} - {first}
        for first, names in members.items()
    }
    return [name for first in _unknotted(between) for name in members[first]]


def _unknotted(needs: Needs) -> list[ServiceName]:
    """Order services whose needs can all be met, whatever needs members of a cycle left out."""
    waiting = {name: len(_known(needs, name)) for name in needs}
    dependents = reverse(needs)
    free = [name for name, count in waiting.items() if count == 0]
    heapify(free)
    order: list[ServiceName] = []
    while free:
        name = heappop(free)
        order.append(name)
        for dependent in dependents[name]:
            waiting[dependent] -= 1
            if waiting[dependent] == 0:
                heappush(free, dependent)
    return order


def reverse(needs: Needs) -> dict[ServiceName, list[ServiceName]]:
    """Give each service's dependents, by name.

    >>> reverse({"web": ["db"], "api": ["db"], "db": []})
    {'web': [], 'api': [], 'db': ['api', 'web']}
    """
    dependents: dict[ServiceName, list[ServiceName]] = {name: [] for name in needs}
    for name in sorted(needs):
        for need in _known(needs, name):
            dependents[need].append(name)
    return dependents


def reach(edges: Needs, start: Iterable[ServiceName]) -> set[ServiceName]:
    """Give everything that can be reached from `start` along `edges`, `start` included.

    >>> sorted(reach({"web": ["api"], "api": ["db"], "db": [], "x": []}, ["api"]))
    ['api', 'db']
    """
    found: set[ServiceName] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(edges.get(name, ()))
    return found


def cycle_through(needs: Needs, name: ServiceName) -> tuple[ServiceName, ...]:
    """Give the shortest cycle that a service is a member of, as a path that begins with it.

    >>> cycle_through({"a": ["b", "c"], "b": ["a"], "c": ["a"]}, "c")
    ('c', 'a')
    """
    return _shortest_cycle(needs, name, frozenset(needs))


def knotted(needs: Needs) -> set[ServiceName]:
    """Give every service that is a member of some cycle.

    >>> sorted(knotted({"a": ["b"], "b": ["a"], "c": ["a"]}))
    ['a', 'b']
    """
    return {name for knot in _knots(needs) for name in knot if len(knot) > 1 or name in needs[name]}


def _known(needs: Needs, name: ServiceName) -> list[ServiceName]:
    """Give a service's needs that are services, once each, by name."""
    return sorted({need for need in needs[name] if need in needs})


def _shortest_cycle(
    needs: Needs, first: ServiceName, knot: frozenset[ServiceName]
) -> tuple[ServiceName, ...]:
    """Walk the knot breadth-first from `first` until it comes back to it."""
    came_from: dict[ServiceName, ServiceName] = {}
    layer = [first]
    while layer:
        following = []
        for name in layer:
            for need in _known(needs, name):
                if need == first:
                    return _path_back(came_from, first, name)
                if need in knot and need not in came_from:
                    came_from[need] = name
                    following.append(need)
        layer = following
    return (first,)


def _path_back(
    came_from: Mapping[ServiceName, ServiceName], first: ServiceName, last: ServiceName
) -> tuple[ServiceName, ...]:
    path = [last]
    while path[-1] != first:
        path.append(came_from[path[-1]])
    return tuple(reversed(path))


def _knots(needs: Needs) -> list[frozenset[ServiceName]]:
    """Find the strongly connected components (Tarjan 1972), with a stack instead of recursion."""
    index: dict[ServiceName, int] = {}
    low: dict[ServiceName, int] = {}
    stack: list[ServiceName] = []
    on_stack: set[ServiceName] = set()
    knots: list[frozenset[ServiceName]] = []
    for root in sorted(needs):
        if root in index:
            continue
        walk = [(root, iter(_known(needs, root)))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while walk:
            name, rest = walk[-1]
            need = next(rest, None)
            if need is None:
                walk.pop()
                if walk:
                    low[walk[-1][0]] = min(low[walk[-1][0]], low[name])
                if low[name] == index[name]:
                    knots.append(_pop_knot(stack, on_stack, name))
            elif need not in index:
                index[need] = low[need] = len(index)
                stack.append(need)
                on_stack.add(need)
                walk.append((need, iter(_known(needs, need))))
            elif need in on_stack:
                low[name] = min(low[name], index[need])
    return knots


def _pop_knot(
    stack: list[ServiceName], on_stack: set[ServiceName], root: ServiceName
) -> frozenset[ServiceName]:
    members = []
    while True:
        name = stack.pop()
        on_stack.discard(name)
        members.append(name)
        if name == root:
            return frozenset(members)
