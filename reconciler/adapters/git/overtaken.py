"""Refuse a change whose very fields somebody else changed while it was on its way.

A change that lost a race is made anew to what is there then. Where both changed different fields
both count. Where it is the same field, to different values, nobody can tell who is right but
the person, who is shown all three.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.adapters.git import revisions
from reconciler.adapters.git.checkout import Repo
from reconciler.manifest.intent import (
    Intent,
    PutService,
    RemoveService,
    SetField,
    is_secret,
)
from reconciler.manifest.nodes import MapNode, Node, Scalar, find
from reconciler.manifest.parse import parse
from reconciler.model.units import ServiceName
from reconciler.ports import ConflictError

SHOWN = 3
"""Fields of a conflict that are told."""

Files = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Home:
    """Where a service is defined, in one revision."""

    file: str
    text: str
    root: MapNode

    def said(self, node: Node | None) -> str | None:
        """Give what is written there, in one line; None for nothing."""
        if isinstance(node, Scalar):
            return node.text
        return None if node is None else " ".join(self.text[node.start : node.end].split())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Clash:
    """A field that both changed."""

    service: ServiceName
    path: str
    base: str | None
    ours: str | None
    theirs: str | None
    place: str

    def __str__(self) -> str:
        if is_secret(self.path):
            return f"{self.path} of {self.service} ({self.place})"
        told = (self.base, self.ours, self.theirs)
        base, ours, theirs = ("nothing" if one is None else one[:80] for one in told)
        return (
            f"{self.path} of {self.service} was {base}, you want {ours}, "
            f"and it is {theirs} by now ({self.place})"
        )


def refuse_overtaken(repo: Repo, intents: Iterable[Intent], base: str) -> None:
    """Refuse intents that would replace what was changed since `base`. Raises ConflictError."""
    before = revisions.read_revision(repo, base).files
    now = revisions.read_revision(repo, "HEAD").files
    refuse_clashes(before, now, intents)


def refuse_clashes(before: Files, now: Files, intents: Iterable[Intent]) -> None:
    """Refuse intents that were made for `before` and would replace other changes in `now`."""
    found = [clash for intent in intents for clash in _clashes(before, now, intent)]
    if not found:
        return
    more = f"; and {len(found) - SHOWN} more" if found[SHOWN:] else ""
    first = found[0].service
    raise ConflictError(
        f"cannot change what somebody else changed meanwhile: "
        f"{'; '.join(map(str, found[:SHOWN]))}{more}",
        mend=f"see `weaver history {first}`; ask again if yours is to count; nothing was written",
    )


def _clashes(before: Files, now: Files, intent: Intent) -> Iterator[_Clash]:
    if isinstance(intent, RemoveService):
        return
    base, theirs = _home(before, intent.service), _home(now, intent.service)
    if isinstance(intent, PutService):
        ours = _home({"-": intent.text.encode()}, intent.service)
        paths = (*_leaves(base), *_leaves(theirs)) if theirs is not None else (("name",),)
        wanted = {path: _at(ours, path) for path in paths}
    elif theirs is None:
        return  # it is told as gone
    else:
        want = intent.value.strip("'\"") if isinstance(intent, SetField) else None
        wanted = {intent.path: want}
    for path, ours_there in wanted.items():
        old, new = _at(base, path), _at(theirs, path)
        if new not in (old, ours_there):
            yield _Clash(
                service=intent.service,
                path=".".join(path),
                base=old,
                ours=ours_there,
                theirs=new,
                place=_place(theirs, path),
            )


def _home(files: Files, service: ServiceName) -> _Home | None:
    mark = service.encode()
    for file in sorted(files):
        parsed = parse(file, files[file]) if mark in files[file] else None
        for document in parsed.documents if parsed is not None else ():
            name = document.root.get("name") if document.root else None
            is_it = isinstance(name, Scalar) and name.text == service
            if parsed is not None and document.root is not None and is_it:
                return _Home(file=file, text=parsed.text, root=document.root)
    return None


def _leaves(home: _Home | None) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all fields that hold no further ones."""
    waiting: list[tuple[tuple[str, ...], Node]] = [] if home is None else [((), home.root)]
    while waiting:
        path, node = waiting.pop()
        if not isinstance(node, MapNode):
            yield path
            continue
        waiting += [((*path, pair.key.text), pair.value) for pair in reversed(node.pairs)]


def _at(home: _Home | None, path: tuple[str, ...]) -> str | None:
    return None if home is None else home.said(find(home.root, path))


def _place(home: _Home | None, path: tuple[str, ...]) -> str:
    """Give the place of a field, or of what is left of it."""
    if home is None:
        return "it is gone"
    while (node := find(home.root, path)) is None:
        path = path[:-1]
    return f"{home.file}:{node.line}:{node.column}"
