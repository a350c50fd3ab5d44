"""Requests that fail while what answers them is restarted, under full load."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.load import CONNECTIONS, is_installed, load
from benchmarks.machine import beside_python
from benchmarks.report import Beside, Row, time_text
from benchmarks.served.bare import STOP_S
from benchmarks.serving import (
    INSTANCES,
    Bare,
    Serving,
    ServingPm2,
    ServingSupervisord,
    ServingWeaver,
    gunicorn,
)
from benchmarks.supervisors import running

RESTARTS = 50
PEER_RESTARTS = 5
BESIDE_RESTARTS = 4
DEVIATIONS = 3
"""By so many of them two counts of what happens by chance may differ."""
TITLE = "restarts under load"
NOTE = (
    f"{INSTANCES} instances, and wrk with {CONNECTIONS} connections that asks without a pause. "
    "Failed: refused, reset, timed out or answered with an error. gunicorn has sync workers, which "
    "close each connection; the other servers keep theirs, and drop some of them at SIGTERM, "
    "whoever sends it."
)
READY = f"ready: {{type: file, path: 'ready-${{instance}}'}}\nstopTimeout: {STOP_S:g}s\n"
AT_ONCE = "update: {minReady: 200ms}\n"
"""How soon a new process counts: as good as at once, as with those it is measured beside."""
STOP_FIRST = "update: {order: stop-first, minReady: 0}\n"
"""As the script does it: no process more is ended than there are."""
DRAINS = (
    "hooks:\n  preStop:\n    shell: true\n    command: kill -USR1 $WEAVER_MAIN_PID; sleep 0.5\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of the restarts of one who serves."""

    name: str
    restarts: int
    requests: int
    failed: int
    seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        """Give it as a line of a table."""
        each = time_text(self.seconds / self.restarts)
        return (self.name, str(self.restarts), each, f"{self.requests:,}", f"{self.failed:,}")


def run() -> Iterator[Row | Beside]:
    """Restart one after another while requests come in."""
    ours = _outcome(_sturdy(), RESTARTS)
    peers = [_outcome(ServingPm2(), PEER_RESTARTS), _outcome(ServingSupervisord(), PEER_RESTARTS)]
    pairs = [_pair(kind, words) for kind, words in _keepers().items()]
    drained = _outcome(
        ServingWeaver(
            [beside_python("python"), "-m", "benchmarks.served.draining"],
            READY + AT_ONCE + DRAINS,
            "drained",
        ),
        BESIDE_RESTARTS,
    )
    every = [ours, *peers, *(one for pair in pairs for one in pair), drained]
    yield Beside(
        title=TITLE,
        columns=("restarts", "each", "requests", "failed"),
        lines=tuple(outcome.cells for outcome in every),
        note=NOTE,
    )
    yield _none_lost(f"{RESTARTS} restarts of gunicorn under load", ours, peers)
    for kind, (own, bare) in zip(_keepers(), pairs, strict=True):
        yield _adds_none(kind, own, bare)
    yield _none_lost("restarts of uvicorn with a preStop that drains", drained, [])
    yield _none_lost("a version that cannot serve: pushed, quarantined", _broken(), [])


def _sturdy() -> ServingWeaver:
    """Give the server that loses nothing when it is asked to end."""
    return ServingWeaver(gunicorn("--workers", "1"), f"type: notify\n{AT_ONCE}")


def _broken() -> Outcome:
    """Push a version that does not serve, and look how the one before does."""
    server = _sturdy()
    with running(server), load(server.port) as tally:
        began = time.monotonic()
        server.break_it()
        took = time.monotonic() - began
    return Outcome(
        name=server.name, restarts=1, requests=tally.requests, failed=tally.failed, seconds=took
    )


def missing() -> list[str]:
    """Name what is not installed of all that is used here, but for the supervisors."""
    servers = ("gunicorn", "uvicorn", "hypercorn")
    there = {name: shutil.which(beside_python(name)) is not None for name in servers}
    there["wrk"] = is_installed()
    return [name for name, is_there in there.items() if not is_there]


def _keepers() -> dict[str, list[str]]:
    """Give the servers that keep connections, and drop some when they are asked to end."""
    app = "benchmarks.served.speedy:app"
    return {
        "uvicorn": [beside_python("uvicorn"), "--fd", "3", "--log-level", "error", app],
        "hypercorn": [beside_python("hypercorn"), "--bind", "fd://3", "--log-level", "ERROR", app],
    }


def _pair(kind: str, words: list[str]) -> tuple[Outcome, Outcome]:
    own = _outcome(ServingWeaver(words, READY + STOP_FIRST, kind), BESIDE_RESTARTS)
    with Bare(words, kind) as bare:
        return own, _restarted(bare, BESIDE_RESTARTS)


def _outcome(server: ServingWeaver | ServingPm2 | ServingSupervisord, restarts: int) -> Outcome:
    with running(server):
        return _restarted(server, restarts)


def _restarted(server: Serving, restarts: int) -> Outcome:
    with load(server.port) as tally:
        began = time.monotonic()
        for _ in range(restarts):
            server.restart()
        took = time.monotonic() - began
    return Outcome(
        name=server.name,
        restarts=restarts,
        requests=tally.requests,
        failed=tally.failed,
        seconds=took,
    )


def _none_lost(what: str, ours: Outcome, peers: list[Outcome]) -> Row:
    return Row(
        what=what,
        budget="0 failed",
        measured=f"{ours.failed:,} failed",
        beside=", ".join(f"{peer.name.split()[0]} {peer.failed:,}" for peer in peers) or "-",
        met=ours.failed == 0,
        note=f"{ours.requests:,} requests in {ours.restarts} restarts"
        + "".join(f"; {p.name}: {p.requests:,} in {p.restarts}" for p in peers),
    )


def _adds_none(kind: str, ours: Outcome, bare: Outcome) -> Row:
    """Compare two counts that are as they are by chance, as counts of rare events are."""
    margin = DEVIATIONS * math.sqrt(ours.failed + bare.failed)
    return Row(
        what=f"requests that {kind} drops, beside a bare script",
        budget="no more",
        measured=f"{ours.failed:,} failed",
        beside=f"bare {bare.failed:,}",
        ratio=ours.failed / bare.failed if bare.failed else None,
        met=ours.failed <= bare.failed + margin,
        note=f"in {ours.restarts} restarts each; chance alone may add {margin:.0f}",
    )
