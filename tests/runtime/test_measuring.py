"""Which limits are kept by whom, and who is measured for that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Source
from reconciler.model.event import Event, Measured
from reconciler.model.observed import Process, ProcessId, Slot
from reconciler.model.plan import Situation
from reconciler.model.record import ServiceMemory, SlotMemory, SlotRecord
from reconciler.model.spec import MemoryAction, ServiceSpec
from reconciler.model.status import Way
from reconciler.model.units import Digest, Nanos, RunId, ServiceName
from reconciler.model.weight import Load, Weight
from reconciler.runtime.measuring import Measuring, in_force

RESTART, ALERT = MemoryAction.RESTART, MemoryAction.ALERT
KERNEL = {name: Way(version=1, text="cgroup v1") for name in ("memory", "cpu", "pids")}
NOBODY = {name: Way(version=0, text="none for us") for name in ("memory", "cpu", "pids")}
WEB = Slot(service=ServiceName("web"), index=0)


def spec(action: MemoryAction, *, is_limited: bool = True) -> ServiceSpec:
    plain = ServiceSpec(name=WEB.service, digest=Digest("d"), memory_action=action)
    return replace(plain, max_memory=512, max_cpu=0.5, pids_max=9) if is_limited else plain


@pytest.mark.parametrize(
    ("action", "ways", "keepers"),
    [
        pytest.param(RESTART, KERNEL, ["cgroup v1"] * 3, id="the kernel keeps all"),
        pytest.param(ALERT, KERNEL, ["measured", "cgroup v1", "cgroup v1"], id="told, not kept"),
        pytest.param(RESTART, NOBODY, ["measured", "measured", "not in force"], id="no groups"),
        pytest.param(RESTART, {}, ["measured", "measured", "not in force"], id="an older holder"),
    ],
)
def test_each_limit_has_one_who_keeps_it_or_none(
    action: MemoryAction, ways: Mapping[str, Way], keepers: list[str]
) -> None:
    assert in_force(spec(action), ways) == list(
        zip(("memory", "cpu", "pids"), keepers, strict=True)
    )


class Scale:
    """Finds that every tree uses the same."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Load]] = []

    async def weigh(self, loads: Mapping[str, Load]) -> Mapping[str, Weight]:
        self.asked.append(loads)
        return dict.fromkeys(loads, Weight(memory=700, cpu=0.7))


def situation(wanted: ServiceSpec) -> Situation:
    process = Process(
        slot=WEB,
        id=ProcessId(boot="b", pid=7, born=1),
        run=RunId("r"),
        digest=wanted.digest,
        started=Nanos(1),
    )
    return Situation(
        now=Nanos(9),
        desired=Desired(),
        services={WEB.service: ServiceMemory(spec=wanted, source=Source(file="web.yaml"))},
        slots={WEB.service: {0: SlotRecord(memory=SlotMemory(slot=WEB), process=process)}},
    )


@pytest.mark.parametrize(
    ("action", "ways", "is_limited", "told"),
    [
        pytest.param(RESTART, NOBODY, True, (700, 0.7), id="what nobody keeps is measured"),
        pytest.param(ALERT, KERNEL, True, (700, None), id="what is only told of is"),
        pytest.param(RESTART, KERNEL, True, None, id="what the kernel keeps is not"),
        pytest.param(RESTART, NOBODY, False, None, id="what has no limit is not"),
    ],
)
def test_only_what_must_be_is_measured(
    action: MemoryAction,
    ways: Mapping[str, Way],
    is_limited: bool,
    told: tuple[int, float | None] | None,
) -> None:
    scale, heard = Scale(), list[Event]()
    wanted = spec(action, is_limited=is_limited)
    measuring = Measuring(lambda: situation(wanted), lambda: ways, scale, heard.append)
    asyncio.run(measuring.once())
    assert bool(scale.asked) == (told is not None), "nothing to measure costs nothing"
    expected = [Measured(slot=WEB, run=RunId("r"), memory=told[0], cpu=told[1])] if told else []
    assert heard == expected
