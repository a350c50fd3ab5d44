"""A thousand services, each asked over HTTP every ten seconds whether it is well."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.life import idle_percent
from benchmarks.processes import until
from benchmarks.report import Row, time_text
from benchmarks.sample import Sample
from benchmarks.supervisors import Weaver, running

SERVICES = 1000
INTERVAL_S = 10
WATCHED_S = 3.0 * INTERVAL_S
BARE_QUESTIONS = 300
BUDGET_PERCENT = 10.0
BUDGET_LATE_S = 1.0
BUDGET_ADDED_S = 0.05
SERVER = """\
import asyncio

ANSWER = b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok"

async def answer(reader, writer):
    try:
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(ANSWER)
        await writer.drain()
    except (OSError, EOFError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class CheckedWeaver(Weaver):
    """Weaver whose services are all asked at one address."""

    def __init__(self, count: int, port: int) -> None:
        super().__init__(count)
        url = f"http://127.0.0.1:{port}/"
        self.extra = (
            f"healthCheck: {{type: http, interval: {INTERVAL_S}s, http: {{url: '{url}'}}}}\n"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of the checks, from the first one on."""

    cpu_percent: float
    late_s: Sample
    """From when each was due until it began."""
    answered_s: Sample
    """From when each was due until it was answered, while nothing else happened."""
    failed: int


def run() -> Iterator[Row]:
    """Have all of them checked for a while."""
    with serving() as port:
        bare = ask_bare(port)
        seen = watch(CheckedWeaver(SERVICES, port))
    what = f"{SERVICES:,} http checks every {INTERVAL_S} s"
    yield Row(
        what=f"{what}: CPU of holder and daemon",
        budget=f"{BUDGET_PERCENT:g} % of a core",
        measured=f"{seen.cpu_percent:.1f} %",
        met=seen.cpu_percent < BUDGET_PERCENT,
        note=f"over {time_text(WATCHED_S)}, all that they do; {seen.failed} checks failed",
    )
    yield Row(
        what=f"{what}: the latest of all",
        budget=time_text(BUDGET_LATE_S),
        measured=time_text(seen.late_s.most),
        met=seen.late_s.most < BUDGET_LATE_S,
        note=f"of the last {len(seen.late_s.values):,}; p95 {time_text(seen.late_s.p95)}",
    )
    added = seen.answered_s.p95 - bare.median
    yield Row(
        what=f"{what}: latency added, p95",
        budget=time_text(BUDGET_ADDED_S),
        measured=time_text(added),
        beside=f"bare client {time_text(bare.median)}",
        met=added < BUDGET_ADDED_S,
        note="from when a check was due until its answer was in, less what a bare client takes",
    )


@contextmanager
def serving() -> Iterator[int]:
    """Run the server that answers, and give its port."""
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.wait()


def ask_bare(port: int) -> Sample:
    """Measure what a question takes that nobody schedules."""
    taken = []
    for _ in range(BARE_QUESTIONS):
        began = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()
        taken.append(time.perf_counter() - began)
    return Sample(tuple(taken))


def watch(weaver: CheckedWeaver) -> Seen:
    """Let all services be checked, and look at what it takes and how it goes."""
    with ExitStack() as lives:
        lives.enter_context(running(weaver))
        weaver.until_converged()
        until(lambda: all(one["history"] for one in health(weaver)), 60, "all to be checked", 1.0)
        weaver.until_quiet()
        cpu = idle_percent(weaver, WATCHED_S)
        histories = [one["history"] for one in health(weaver)]
    made = [checked for history in histories for checked in history]
    watched = [one for history in histories for one in history[: int(WATCHED_S / INTERVAL_S)]]
    return Seen(
        cpu_percent=cpu,
        late_s=Sample(tuple(one["late"] for one in made)),
        answered_s=Sample(tuple(one["late"] + one["responseTime"] for one in watched)),
        failed=sum(not checked["passed"] for checked in made),
    )


def health(weaver: Weaver) -> list[dict[str, Any]]:
    """Ask for what checks have said."""
    asked = subprocess.run(weaver.command("health", "-o", "json"), capture_output=True, check=True)
    found: list[dict[str, Any]] = json.loads(asked.stdout)["checks"]
    return found
