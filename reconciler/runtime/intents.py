"""Turn what people ask for into intents, and into the words of a commit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.manifest.intent import (
    Intent,
    PutService,
    RemoveField,
    RemoveService,
    SetField,
    is_secret,
)
from reconciler.model.units import ServiceName
from reconciler.ports import ManifestError
from reconciler.runtime.requests import Assignment

SUBJECT_LIMIT = 72


def assign(service: ServiceName, assignments: Iterable[Assignment]) -> tuple[Intent, ...]:
    """Give the intents of `weaver set`."""
    return tuple(
        RemoveField(service=service, path=keys(assignment.path))
        if assignment.value is None
        else SetField(service=service, path=keys(assignment.path), value=assignment.value)
        for assignment in assignments
    )


def want(services: Iterable[ServiceName], state: str) -> tuple[Intent, ...]:
    """Give the intents of `weaver start` and `weaver stop`."""
    return tuple(SetField(service=name, path=("state",), value=state) for name in services)


def number(counts: Iterable[tuple[ServiceName, int]]) -> tuple[Intent, ...]:
    """Give the intents of `weaver scale`."""
    return tuple(
        SetField(service=name, path=("instances",), value=str(count)) for name, count in counts
    )


def put(
    documents: Iterable[tuple[ServiceName, str]], *, verbatim: bool = False
) -> tuple[Intent, ...]:
    """Give the intents of `weaver apply`, `register` and, with comments and all, `edit`."""
    return tuple(PutService(service=name, text=text, verbatim=verbatim) for name, text in documents)


def remove(services: Iterable[ServiceName]) -> tuple[Intent, ...]:
    """Give the intents of `weaver unregister`."""
    return tuple(RemoveService(service=name) for name in services)


def keys(path: str) -> tuple[str, ...]:
    """Split a path into keys; quotes keep a dot within a key. Raises ManifestError.

    >>> keys("env.PORT"), keys('labels."app.kubernetes.io/name"')
    (('env', 'PORT'), ('labels', 'app.kubernetes.io/name'))
    """
    found: list[str] = []
    rest = path
    while True:
        if rest.startswith(('"', "'")):
            key, quote, rest = rest[1:].partition(rest[0])
            is_torn = not quote or (rest and not rest.startswith("."))
            dot, rest = rest[:1], rest[1:]
        else:
            key, dot, rest = rest.partition(".")
            is_torn = False
        if is_torn or not key:
            raise ManifestError(
                f"cannot set {path!r}: it is no path of keys",
                mend='write env.PORT; quote a key that has a dot: labels."app.name"',
            )
        found.append(key)
        if not dot:
            return tuple(found)


def subject(services: Sequence[ServiceName], what: str) -> str:
    """Give a commit's subject: `web: set env.PORT=8001`.

    >>> subject(["web", "api"], "stop")
    'web, api: stop'
    """
    who = ", ".join(services) if len(services) <= 3 else f"{len(services)} services"
    return shorten(f"{who}: {what}")


def told(assignments: Iterable[Assignment]) -> str:
    """Say what `weaver set` sets, without a secret's value.

    >>> values = {"env.PORT": "8001", "env.API_TOKEN": "x", "nice": None}
    >>> told([Assignment(path=path, value=value) for path, value in values.items()])
    'set env.PORT=8001, env.API_TOKEN, remove nice'
    """
    set_ones = [_told(one) for one in assignments if one.value is not None]
    removed = [one.path for one in assignments if one.value is None]
    parts = [f"set {', '.join(set_ones)}"] if set_ones else []
    parts += [f"remove {', '.join(removed)}"] if removed else []
    return ", ".join(parts)


def scaled(counts: Sequence[tuple[ServiceName, int]]) -> str:
    """Say what `weaver scale` does.

    >>> scaled([("web", 4)]), scaled([("web", 4), ("api", 2)])
    ('scale to 4', 'scale web=4, api=2')
    """
    if len(counts) == 1:
        return f"scale to {counts[0][1]}"
    return f"scale {', '.join(f'{name}={count}' for name, count in counts)}"


def shorten(text: str) -> str:
    """Keep a subject on one line of a log."""
    line = " ".join(text.split())
    return line if len(line) <= SUBJECT_LIMIT else f"{line[: SUBJECT_LIMIT - 1]}…"


def _told(assignment: Assignment) -> str:
    if is_secret(assignment.path):
        return assignment.path
    return f"{assignment.path}={assignment.value}"
