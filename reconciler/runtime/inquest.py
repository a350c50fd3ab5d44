"""Find out why a service died right after its start, where a port that is taken is the reason."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from reconciler.core.launch import expand
from reconciler.model.event import Event, Exited, TreeEmptied
from reconciler.model.observed import Process, Slot
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, RunId, seconds
from reconciler.runtime.world import Tell

EARLY = seconds(10)
"""A process that failed within this of its start may have found its port taken."""
TIME_S = 0.5
"""For the whole inquest; the end is told without a finding when it is over."""
MOST_PORTS = 8

_IN_USE = re.compile(r"in use|EADDRINUSE|errno\W*98\b", re.IGNORECASE)
_ERRNO = re.compile(r"(?:errno\W*|\()98\b", re.IGNORECASE)
"""The number of the error, which is no port."""
_NUMBER = re.compile(r"(?<![\d.])(\d{2,5})(?!\d|\.\d)")

Owner = Callable[[int], tuple[str, str] | None]
"""Gives who listens on a port, in words and by its WEAVER_RUN; None: nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An end that is looked into, and what the slot's service is."""

    event: Exited
    spec: ServiceSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Who has the port that a service wanted."""

    port: int
    who: str
    run: RunId


class Inquest:
    """Stands between the host and the engine; lets everything through, some of it annotated."""

    def __init__(self, owner: Owner, last_words: Callable[[ServiceSpec, Slot], str]) -> None:
        self._owner = owner
        self._last_words = last_words
        self._tell: Tell = lambda _: None
        self._held: dict[RunId, list[Event]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.tenant: Callable[[RunId], Slot | None] = lambda _: None
        """Gives whose run this is, of our services; None: nobody's."""
        self.lookup: Callable[[Slot], tuple[ServiceSpec | None, SlotRecord | None]] = _nothing

    def through(self, tell: Tell) -> Tell:
        """Give the ear that the host tells things to."""
        self._tell = tell
        return self._hear

    @property
    def is_holding(self) -> bool:
        """Tell whether an end is being looked into."""
        return bool(self._held)

    def _hear(self, event: Event) -> None:
        if isinstance(event, TreeEmptied) and event.run in self._held:
            self._held[event.run].append(event)
            return
        case = self._case(event) if isinstance(event, Exited) else None
        if case is None:
            self._tell(event)
            return
        self._held[case.event.run] = []
        task = asyncio.create_task(self._look_into(case))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _case(self, event: Exited) -> Case | None:
        """Give the case where an end is worth a look: a failure, and soon after the start."""
        if not event.exit.code:
            return None
        spec, record = self.lookup(event.slot)
        process = record.process if record else None
        if spec is None or process is None or not _is_early(process, event):
            return None
        return Case(event=event, spec=spec)

    async def _look_into(self, case: Case) -> None:
        event = case.event
        try:
            async with asyncio.timeout(TIME_S):
                finding = await asyncio.to_thread(self._find, case)
        except TimeoutError:
            finding = None
        note = "" if finding is None else self._in_words(finding, event.slot)
        is_strange = finding is not None and self.tenant(finding.run) is None
        end = replace(event.exit, note=note, crowded_out=is_strange)
        self._tell(replace(event, exit=end))
        for later in self._held.pop(event.run):
            self._tell(later)

    def _in_words(self, finding: Finding, slot: Slot) -> str:
        return f"port {finding.port} is in use by {self.named(finding.who, finding.run, slot)}"

    def named(self, who: str, run: RunId, slot: Slot | None = None) -> str:
        """Name a process, of our services by the service too; `slot` is who asks."""
        tenant = self.tenant(run)
        if tenant is None:
            return who
        is_sibling = slot is not None and tenant.service == slot.service
        return f"its own {tenant}, {who}" if is_sibling else f"the service {tenant.service}, {who}"

    def _find(self, case: Case) -> Finding | None:
        words = self._last_words(case.spec, case.event.slot)
        for port in ports(case.spec, case.event.slot, words):
            found = self._owner(port)
            if found is not None and found[1] != case.event.run:
                return Finding(port=port, who=found[0], run=RunId(found[1]))
        return None


def ports(spec: ServiceSpec, slot: Slot, words: str) -> Sequence[int]:
    """Give the ports that a service may have wanted.

    Its own and that of its readiness always; where its last words say that something is in use,
    also the numbers in those words and in its command.
    """
    found = list(_ready_ports(spec, slot))
    complaints = [line for line in words.splitlines()[-20:] if _IN_USE.search(line)]
    if complaints:
        texts = [_ERRNO.sub("", line) for line in complaints] + [*spec.command, *spec.args]
        texts += [value for name, value in spec.env.items() if "PORT" in name.upper()]
        texts = [expand(text, slot, spec.port) for text in texts]
        found += [int(number) for text in texts for number in _NUMBER.findall(text)]
    return list(dict.fromkeys(port for port in found if 0 < port < 65536))[:MOST_PORTS]


def _ready_ports(spec: ServiceSpec, slot: Slot) -> Iterator[int]:
    if spec.port:
        yield spec.port
    if spec.ready is None:
        return
    if spec.ready.tcp is not None:
        port = expand(str(spec.ready.tcp.port), slot, spec.port)
        if port.isdecimal():
            yield int(port)
    if spec.ready.http is not None:
        url = urlsplit(expand(spec.ready.http.url, slot, spec.port))
        try:
            yield url.port or (443 if url.scheme == "https" else 80)
        except ValueError:
            return


def _is_early(process: Process, event: Exited) -> bool:
    is_same = process.run == event.run
    return is_same and Nanos(event.exit.at - process.started) < EARLY


def _nothing(_: Slot) -> tuple[None, None]:
    return (None, None)
