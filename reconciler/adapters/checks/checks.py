"""Check whether processes that run are well.

Every check runs on the loop of the daemon: what waits for the network is a few sockets on the
selector, and what runs code of others is a process of its own. So a check costs neither a thread
nor another's time, whatever it meets.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from functools import partial
from typing import TypeVar, assert_never
from weakref import WeakValueDictionary

from reconciler.adapters.checks.command import check_command
from reconciler.adapters.checks.custom import check_custom
from reconciler.adapters.checks.matching import Matcher
from reconciler.adapters.checks.mcp_http import check_mcp_http
from reconciler.adapters.checks.mcp_stdio import check_mcp_stdio
from reconciler.adapters.checks.names import Names
from reconciler.adapters.checks.net import Network
from reconciler.adapters.checks.place import Place, ProbeError, Seen
from reconciler.adapters.checks.probes import Locate
from reconciler.adapters.checks.web import check_http, check_tcp
from reconciler.core.answers import SCARCE
from reconciler.core.launch import expand
from reconciler.model.health import CheckFault, CheckResult, CheckType, McpCheck
from reconciler.model.units import Nanos, ServiceName, in_seconds
from reconciler.ports import Check, WeaverError

DETAIL_LIMIT = 200
RETRY_PAUSE_S = 0.1
"""Between two tries of one check."""
PROCESSES_AT_ONCE = 64
PROCESSES_OF_ONE = 16
"""Of one service, so that its instances cannot keep all others waiting."""

Target = TypeVar("Target")


class Checks:
    """The checker of this host."""

    def __init__(
        self, locate: Locate, now: Callable[[], Nanos], network: Network | None = None
    ) -> None:
        self._locate = locate
        self._now = now
        self._network = network or Network(Names())
        self._matcher = Matcher()
        self._turns = asyncio.Semaphore(PROCESSES_AT_ONCE)
        self._own_turns: WeakValueDictionary[ServiceName, asyncio.Semaphore] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[CheckResult]] = set()
        self._leaving: set[asyncio.Task[None]] = set()

    def begin(self, check: Check, tell: Callable[[CheckResult], None]) -> Callable[[], None]:
        """Begin one check, with all its tries, and give how to give it up."""
        task = asyncio.get_running_loop().create_task(self._checked(check))
        self._tasks.add(task)
        task.add_done_callback(partial(self._over, check, tell))
        return partial(_give_up, task)

    async def close(self) -> None:
        """Give up what is under way, and leave no process behind."""
        tasks = [*self._tasks, *self._leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._network.close()
        await self._matcher.close()

    def _over(
        self, check: Check, tell: Callable[[CheckResult], None], task: asyncio.Task[CheckResult]
    ) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            tell(task.result())
            return
        # A bug of ours is a check that could not be made, and no check that is waited for.
        why = ProbeError(f"cannot check: {error!r}")
        tell(self._result(check, why, self._now(), tries=1))

    async def _checked(self, check: Check) -> CheckResult:
        tries = 0
        while True:
            tries += 1
            began = self._now()
            found = await self._tried(check)
            result = self._result(check, found, began, tries)
            if result.ok or tries > check.health.retries:
                return result
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _tried(self, check: Check) -> Seen | ProbeError:
        """Try once, within the time of a try."""
        limit_s = in_seconds(check.health.timeout)
        try:
            if not _needs_process(check):
                async with asyncio.timeout(limit_s):
                    return await self._asked(check)
            own = self._own_turns.setdefault(
                check.slot.service, asyncio.Semaphore(PROCESSES_OF_ONE)
            )
            async with own, self._turns, asyncio.timeout(limit_s):
                return await self._run(check)
        except TimeoutError:
            return ProbeError(f"no answer within {limit_s:g} s", CheckFault.TIMEOUT)
        except ProbeError as why:
            return _of_host(why.__cause__) or why
        except (OSError, ValueError, WeaverError) as why:
            return _of_host(why) or ProbeError(str(why))

    async def _asked(self, check: Check) -> Seen:
        """Ask over the network."""
        health = check.health
        fill = partial(expand, slot=check.slot, port=check.spec.port)
        match health.type:
            case CheckType.HTTP:
                return await check_http(self._network, self._matcher, _given(health.http), fill)
            case CheckType.TCP:
                return await check_tcp(self._network, _given(health.tcp), fill)
            case CheckType.MCP:
                return await check_mcp_http(self._network, _given(health.mcp), fill, self._later)
            case CheckType.COMMAND | CheckType.CUSTOM:
                raise ProbeError("it is no question to the network")
            case unreachable:
                assert_never(unreachable)

    async def _run(self, check: Check) -> Seen:
        """Run a process."""
        health = check.health
        place = await self._place(check)
        match health.type:
            case CheckType.COMMAND:
                return await check_command(_given(health.command), place, self._matcher)
            case CheckType.CUSTOM:
                return await check_custom(_given(health.custom), place)
            case CheckType.MCP:
                return await check_mcp_stdio(_given(health.mcp), place)
            case CheckType.HTTP | CheckType.TCP:
                raise ProbeError("it is no process")
            case unreachable:
                assert_never(unreachable)

    async def _place(self, check: Check) -> Place:
        locate = partial(self._locate, check.spec, check.slot, check.run)
        return await asyncio.to_thread(locate) if check.spec.has_account else locate()

    def _later(self, task: asyncio.Task[None]) -> None:
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _result(
        self, check: Check, found: Seen | ProbeError, began: Nanos, tries: int
    ) -> CheckResult:
        now = self._now()
        is_well = isinstance(found, Seen)
        return CheckResult(
            slot=check.slot,
            run=check.run,
            type=check.health.type,
            ok=is_well,
            at=now,
            took=Nanos(now - began),
            detail=(found.detail if isinstance(found, Seen) else str(found))[:DETAIL_LIMIT],
            fault=None if isinstance(found, Seen) else found.fault,
            tries=tries,
            facts=found.facts,
        )


def _of_host(why: BaseException | None) -> ProbeError | None:
    """Say it where it failed for what this host has not, rather than for what was asked."""
    if not isinstance(why, OSError) or why.errno not in SCARCE:
        return None
    text = f"this host is short of means: {os.strerror(why.errno).lower()}"
    return ProbeError(text, CheckFault.HOST)


def _give_up(task: asyncio.Task[CheckResult]) -> None:
    task.cancel()


def _needs_process(check: Check) -> bool:
    health = check.health
    if health.type is CheckType.MCP:
        return not (health.mcp or McpCheck()).url
    return health.type in {CheckType.COMMAND, CheckType.CUSTOM}


def _given(target: Target | None) -> Target:
    if target is None:
        raise ProbeError("the check has no target")
    return target
