"""Measure the services whose limits nothing else enforces, and tell the engine what they use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from reconciler.model.event import Event, Measured
from reconciler.model.plan import Situation
from reconciler.model.record import SlotRecord
from reconciler.model.spec import MemoryAction, ServiceSpec
from reconciler.model.status import Way
from reconciler.model.weight import Load, Weight

log = logging.getLogger(__name__)

EVERY_S = 3.0


class Scale(Protocol):
    """Weighs trees whose limits nothing else enforces."""

    async def weigh(self, loads: Mapping[str, Load]) -> Mapping[str, Weight]:
        """Give what each tree uses; those that are gone are left out."""
        ...


class Measuring:
    """Weighs what must be weighed, every few seconds; where nothing must be, it costs nothing."""

    def __init__(
        self,
        situation: Callable[[], Situation],
        ways: Callable[[], Mapping[str, Way]],
        scale: Scale,
        tell: Callable[[Event], None],
    ) -> None:
        self._situation = situation
        self._ways = ways
        self._scale = scale
        self._tell = tell

    async def run(self) -> None:
        """Go on for ever."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.once()

    async def once(self) -> None:
        """Weigh what must be weighed now."""
        ways = self._ways()
        asking = {
            record.memory.slot: (record, spec)
            for record, spec in _running(self._situation())
            if is_measured("memory", spec, ways) or is_measured("cpu", spec, ways)
        }
        loads = {str(slot): _load(record, spec) for slot, (record, spec) in asking.items()}
        try:
            weights = await self._scale.weigh(loads) if loads else {}
        except (OSError, ValueError) as error:
            log.warning("cannot measure what services use: %s", error)
            return
        for slot, (record, spec) in asking.items():
            weight = weights.get(str(slot))
            if weight is not None and record.process is not None:
                self._tell(
                    Measured(
                        slot=slot,
                        run=record.process.run,
                        memory=weight.memory if is_measured("memory", spec, ways) else None,
                        cpu=weight.cpu if is_measured("cpu", spec, ways) else None,
                    )
                )


def is_measured(purpose: str, spec: ServiceSpec, ways: Mapping[str, Way]) -> bool:
    """Tell whether a limit of a service is kept by measuring."""
    is_kernel_s = purpose in ways and ways[purpose].version > 0
    if purpose == "memory":
        is_told_only = spec.memory_action is MemoryAction.ALERT
        return spec.max_memory is not None and (is_told_only or not is_kernel_s)
    return purpose == "cpu" and spec.max_cpu is not None and not is_kernel_s


def _running(situation: Situation) -> list[tuple[SlotRecord, ServiceSpec]]:
    found = []
    for name, memory in situation.services.items():
        spec = memory.spec
        if spec.max_memory is not None or spec.max_cpu is not None:
            found += [
                (record, spec)
                for record in situation.slots.get(name, {}).values()
                if record.process is not None and record.process.exit is None
            ]
    return found


def _load(record: SlotRecord, spec: ServiceSpec) -> Load:
    assert record.process is not None
    return Load(process=record.process.id, limit=spec.max_memory)


def in_force(spec: ServiceSpec, ways: Mapping[str, Way]) -> list[tuple[str, str]]:
    """Give what limits a service, each limit with who sees to it."""
    limits = {"memory": spec.max_memory, "cpu": spec.max_cpu, "pids": spec.pids_max}
    return [
        (purpose, "measured" if is_measured(purpose, spec, ways) else _keeper(purpose, ways))
        for purpose, limit in limits.items()
        if limit is not None
    ]


def _keeper(purpose: str, ways: Mapping[str, Way]) -> str:
    way = ways.get(purpose)
    return way.text if way is not None and way.version else "not in force"
