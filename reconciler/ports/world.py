"""The host and its time: processes, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from reconciler.model.event import (
    Event,
    LookAtHost,
    NextTime,
    Probe,
    Signal,
    Spawn,
    TimeTold,
)
from reconciler.model.health import CheckResult, HealthCheck
from reconciler.model.listening import CloseSockets
from reconciler.model.observed import ProcessId, Slot
from reconciler.model.put_right import PutRight
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, RunId


class Clock(Protocol):
    """Time, as a port so that tests own it."""

    def now(self) -> Nanos:
        """Give the time since boot, suspend included (CLOCK_BOOTTIME)."""
        ...

    def wall(self) -> float:
        """Give the wall clock in seconds since 1970, for display and names only."""
        ...

    def boot(self) -> str:
        """Give the kernel's boot id."""
        ...


class Host(Protocol):
    """The holder and the processes it holds."""

    async def open(self, tell: Callable[[Event], None]) -> None:
        """Connect, starting a holder if none answers.

        From now on `tell` gets every `Exited`, `TreeEmptied` and `HostLost`. After a loss it
        reconnects by itself.
        """
        ...

    async def perform(
        self, command: Spawn | Signal | PutRight | LookAtHost | CloseSockets
    ) -> Event:
        """Do one command and give the event that answers it. Never raises."""
        ...

    def acknowledge(self) -> None:
        """Tell the holder, after what was just begun, that every exit told so far is on record."""
        ...

    async def close(self, *, stop_holder: bool) -> None:
        """Leave; with `stop_holder` the holder ends too (its services must be gone)."""
        ...

    @property
    def holder_pid(self) -> int | None:
        """Give the holder's pid, None while there is none."""
        ...


class Prober(Protocol):
    """Asks processes whether they are ready."""

    async def probe(self, command: Probe) -> Event:
        """Probe once and give `ProbeAnswered`, within the command's timeout. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check to make of a run of a slot."""

    slot: Slot
    run: RunId
    spec: ServiceSpec
    health: HealthCheck


class Checker(Protocol):
    """Checks whether processes that run are well."""

    def begin(self, check: Check, tell: Callable[[CheckResult], None]) -> Callable[[], None]:
        """Begin one check, with all its tries, and give how to give it up.

        Returns at once and never raises. The loop calls `tell` once, later than this returns and
        at most `1 + retries` times `timeout` (and the pauses between) after it; never where the
        check was given up before.
        """
        ...

    async def close(self) -> None:
        """Give up what is under way, and leave no process behind."""
        ...


class Timetable(Protocol):
    """Reads the wall clock for schedules."""

    async def tell(self, question: NextTime) -> TimeTold:
        """Tell which times of a schedule have passed, and the next one. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one process tree uses now."""

    cpu_percent: float
    """Of one core, since the sample before."""
    rss: int
    pss: int | None
    swap: int | None
    file_descriptors: int
    listening: tuple[str, ...] = ()
    """Addresses its processes listen on: `127.0.0.1:8080`, `unix:/run/x.sock`."""


class Sampler(Protocol):
    """Measures what processes use."""

    def sample(self, targets: Mapping[str, ProcessId]) -> Mapping[str, Usage]:
        """Give each target's tree as last measured, at once.

        Old figures are measured anew behind the scenes. Trees that are gone or were never
        measured are left out.
        """
        ...

    async def fresh(
        self, targets: Mapping[str, ProcessId], *, within_s: float = 0.05
    ) -> Mapping[str, Usage]:
        """Give figures of the last seconds, measuring now where needed, for at most so long."""
        ...
