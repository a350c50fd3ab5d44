"""What is left when the manager itself is killed, and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from benchmarks.peers import LOGGING
from benchmarks.peers.pm2 import Pm2
from benchmarks.peers.scanned import Scanned
from benchmarks.processes import NeverCameError, end, until
from benchmarks.report import Beside, Row
from benchmarks.supervisors import STOP_S, Supervisor, Weaver

SERVICES = 20
ENDING = 5
"""So many services end by themselves while there is no manager."""
CALM_S = 3.0
LIMIT_S = 60.0
BACK_S = 20.0
SCRIPT = """\
trap 'exit 7' USR1
while :; do echo at work; sleep 0.1; done
"""
TITLE = "after kill -9"
COLUMNS = ("killed", "services lost", "run twice", "ends unknown")
NOTE = (
    f"{SERVICES} services that print a line every 0.1 s. The process that is the manager, or all "
    f"that belong to it, get SIGKILL; {ENDING} services end by themselves with a code; then the "
    "manager is started again. Lost: of the others, not there any more. Run twice: two processes "
    "of one service. Unknown: ends whose code is on no record."
)
S = TypeVar("S", bound=Supervisor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """What came of a kill."""

    lost: int
    twice: int
    unknown: int

    @property
    def cells(self) -> tuple[str, ...]:
        """Give it as cells of a table."""
        return f"{self.lost} of {SERVICES - ENDING}", str(self.twice), f"{self.unknown} of {ENDING}"


class TalkingWeaver(Weaver):
    """Weaver with services that do not come back once they ended, so that their end is seen."""

    extra = "restart: never\n"

    def told_ends(self) -> set[int]:
        """Read them from what `weaver status` says."""
        return {
            int(service["name"][1:])
            for service in self.standing()["services"]
            for slot in service["instances"]
            if (slot["lastExit"] or {}).get("code") == 7
        }


def run() -> Iterator[Row | Beside]:
    """Kill every manager, and each part of Weaver."""
    parts: dict[str, Callable[[Weaver], list[int]]] = {
        "daemon": lambda weaver: [weaver.daemon()],
        "holder": lambda weaver: [weaver.holder()],
        "both": lambda weaver: weaver.managers(),
    }
    ours = {
        part: _kill(TalkingWeaver(SERVICES, SCRIPT), victims) for part, victims in parts.items()
    }
    lines = [("weaver", part, *found.cells) for part, found in ours.items()]
    for kind in LOGGING:
        found = _kill(kind(SERVICES, SCRIPT), lambda peer: [peer.head()])
        lines.append((kind.name, "manager", *found.cells))
        if issubclass(kind, Scanned):
            found = _kill(kind(SERVICES, SCRIPT), lambda peer: peer.managers())
            lines.append((kind.name, "all of it", *found.cells))
    yield Beside(title=TITLE, columns=COLUMNS, lines=tuple(lines), note=NOTE)
    for part, found in ours.items():
        yield Row(
            what=f"kill -9 of {part}, and a new start",
            budget="none lost",
            measured=f"{found.lost} lost, {found.twice} twice",
            met=(found.lost, found.twice) == (0, 0),
            note=f"of {ENDING} ends in between, {found.unknown} have no code on record",
        )


def _kill(supervisor: S, victims: Callable[[S], list[int]]) -> Aftermath:
    """Kill the manager, end a few services, start it again, and look."""
    try:
        supervisor.prepare()
        supervisor.launch()
        supervisor.census.until_there(SERVICES, LIMIT_S)
        if isinstance(supervisor, Weaver):
            supervisor.until_converged()
        time.sleep(CALM_S)
        before = supervisor.census.fresh()
        end(victims(supervisor))
        ending = {pid for pid, number in before.items() if number < ENDING}
        for pid in ending:
            _ask_to_end(pid)
        time.sleep(CALM_S)
        _start_again(supervisor)
        after = supervisor.census.fresh()
        told = supervisor.told_ends() & set(range(ENDING))
    finally:
        supervisor.clean_up()
    return Aftermath(
        lost=SERVICES - ENDING - len((before.keys() & after.keys()) - ending),
        twice=len(after) - len(set(after.values())),
        unknown=ENDING - len(told),
    )


def _ask_to_end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGUSR1)
    except ProcessLookupError:
        return  # It died of its closed pipe, which is what is measured.


def _start_again(supervisor: Supervisor) -> None:
    """Start the manager as one does after a crash, and give it the time it takes."""
    if isinstance(supervisor, Weaver):
        again = supervisor.command("up", "--detach")
        subprocess.run(again, check=False, capture_output=True, timeout=STOP_S)
        return
    supervisor.launch()
    if isinstance(supervisor, Pm2):
        supervisor.starting.wait(STOP_S)
    try:
        until(lambda: len(supervisor.census.fresh()) >= 2 * SERVICES, BACK_S, "second copies", 0.1)
    except NeverCameError:
        return  # It does not start everything a second time, which is good.
