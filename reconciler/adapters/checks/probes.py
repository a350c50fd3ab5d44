"""Ask whether a process is ready: over TCP or HTTP, by a command, its output or a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar, assert_never

from reconciler.adapters.checks.command import ask_command
from reconciler.adapters.checks.marks import Output, ask_file, ask_output
from reconciler.adapters.checks.names import Names
from reconciler.adapters.checks.net import Network
from reconciler.adapters.checks.place import Place, ProbeError
from reconciler.adapters.checks.web import probe_http, probe_tcp
from reconciler.model.event import Probe, ProbeAnswered
from reconciler.model.observed import Slot
from reconciler.model.spec import ReadyType, ServiceSpec
from reconciler.model.units import RunId, in_seconds
from reconciler.ports import WeaverError

DETAIL_LIMIT = 200
COMMANDS_AT_ONCE = 16
"""Probing commands that run at the same time; the others wait their turn."""

Target = TypeVar("Target")
Locate = Callable[[ServiceSpec, Slot, RunId], Place]
Intruder = Callable[[Slot, RunId, int], Awaitable[str]]
"""Says who answers on a port of this host instead of a run; nothing where nobody does."""


class Probes:
    """The prober of this host."""

    def __init__(
        self,
        locate: Locate,
        intruder: Intruder,
        output: Output | None = None,
        network: Network | None = None,
    ) -> None:
        self._locate = locate
        self._intruder = intruder
        self._output = output
        self._network = network or Network(Names())
        self._turns = asyncio.Semaphore(COMMANDS_AT_ONCE)

    async def probe(self, command: Probe) -> ProbeAnswered:
        """Probe once; never raises, and answers within the command's timeout."""
        limit_s = in_seconds(command.timeout)
        passed = False
        try:
            async with asyncio.timeout(limit_s):
                detail = await self._ask(command)
            passed = True
        except TimeoutError:
            detail = f"no answer within {limit_s:g} s"
        except (ProbeError, OSError, ValueError, WeaverError) as why:
            detail = str(why)
        return ProbeAnswered(
            serial=command.serial,
            slot=command.slot,
            run=command.run,
            passed=passed,
            detail=detail[:DETAIL_LIMIT],
        )

    async def _ask(self, command: Probe) -> str:
        readiness = command.readiness
        locate = partial(self._locate, command.spec, command.slot, command.run)
        place = await asyncio.to_thread(locate) if command.spec.has_account else locate()
        match readiness.type:
            case ReadyType.DELAY:
                return "its delay is over"
            case ReadyType.TCP:
                asked = probe_tcp(self._network, _given(readiness.tcp), place.expand)
                return await self._from_itself(command, *await asked)
            case ReadyType.HTTP:
                answer = probe_http(self._network, _given(readiness.http), place.expand)
                return await self._from_itself(command, *await answer)
            case ReadyType.COMMAND:
                async with self._turns:
                    return await ask_command(_given(readiness.command), place)
            case ReadyType.FILE:
                return await ask_file(place.expand(readiness.path), place.cwd, command.started)
            case ReadyType.LOG_LINE:
                return await ask_output(self._output, command)
            case ReadyType.NOTIFY:
                raise ProbeError("it has to say READY=1 itself")
            case unreachable:
                assert_never(unreachable)

    async def _from_itself(self, command: Probe, said: str, port: int | None) -> str:
        """Count no answer that somebody else gave on a port of this host."""
        who = await self._intruder(command.slot, command.run, port) if port else ""
        if who:
            raise ProbeError(who)
        return said


def _given(target: Target | None) -> Target:
    if target is None:
        raise ProbeError("the probe has no target")
    return target
