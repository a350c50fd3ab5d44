"""Perform the engine's commands: each becomes a task, and what it comes to becomes an event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import assert_never

from reconciler.model.event import (
    Command,
    Event,
    HostLost,
    LookAtHost,
    NextTime,
    Probe,
    ProbeAnswered,
    Signal,
    SignalAnswered,
    Spawn,
    SpawnFailed,
    TimeTold,
)
from reconciler.model.listening import CloseSockets, SocketsClosed
from reconciler.model.put_right import PutRight
from reconciler.model.units import in_seconds
from reconciler.runtime.world import World

log = logging.getLogger(__name__)

HOST_TIME_S = 15.0
"""How long the holder may take; the engine looks again before that."""
PROBE_GRACE_S = 1.0
"""Beyond a probe's own timeout, before it counts as one that broke its promise."""

Answered = Callable[[Command, Event], None]


class Performer:
    """Carries out commands, never raises, and gives every one an end."""

    def __init__(self, world: World, answered: Answered) -> None:
        self._world = world
        self._answered = answered
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, command: Command) -> None:
        """Begin a command; its answer is given to `answered` when there is one."""
        task = asyncio.create_task(self._perform(command))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Give up what is under way: the daemon leaves."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _perform(self, command: Command) -> None:
        try:
            async with asyncio.timeout(limit_s(command)):
                answer: Event | None = await self._refused(command) or await self._ask(command)
        except TimeoutError:
            answer = overdue(command)
        except Exception as why:
            log.exception("cannot perform %s", type(command).__name__)
            answer = failed(command, f"{type(why).__name__}: {why}")
        if answer is not None:
            self._answered(command, answer)

    async def _refused(self, command: Command) -> Event | None:
        if isinstance(command, Spawn | Signal):
            return await self._world.may(command)
        return None

    def _ask(self, command: Command) -> Awaitable[Event]:
        if isinstance(command, Probe):
            return self._world.prober.probe(command)
        if isinstance(command, NextTime):
            return self._world.timetable.tell(command)
        if isinstance(command, Spawn):
            self._world.before_start(command)
        return self._world.host.perform(command)


def limit_s(command: Command) -> float:
    """Give how long a command may take at most."""
    if isinstance(command, Probe):
        return in_seconds(command.timeout) + PROBE_GRACE_S
    return HOST_TIME_S


def overdue(command: Command) -> Event | None:
    """Give what follows from a command that was not answered in time.

    Nobody knows whether a start or a signal happened, so nothing is claimed: the engine looks
    at the host. A look that is not answered means that the host cannot be seen.
    """
    match command:
        case Spawn() | Signal() | PutRight():
            log.error("the holder did not answer a %s of %s", _word(command), command.slot)
            return None
        case CloseSockets(service=name):
            log.error("the holder did not answer whether it closed sockets of %s", name)
            return None
        case LookAtHost():
            return HostLost(because=f"the holder did not answer within {HOST_TIME_S:g} s")
        case Probe():
            return failed(command, f"no answer within {in_seconds(command.timeout):g} s")
        case NextTime():
            return failed(command, "the clock was not read in time")
        case _:
            assert_never(command)


def failed(command: Command, because: str) -> Event:
    """Give the answer of a command that came to grief on our side."""
    match command:
        case Spawn(serial=serial, slot=slot):
            return SpawnFailed(serial=serial, slot=slot, step="ask", errno=0, because=because)
        case Signal(serial=serial, slot=slot) | PutRight(serial=serial, slot=slot):
            return SignalAnswered(serial=serial, slot=slot, problem=because)
        case LookAtHost():
            return HostLost(because=because)
        case Probe(serial=serial, slot=slot, run=run):
            return ProbeAnswered(serial=serial, slot=slot, run=run, passed=False, detail=because)
        case CloseSockets(serial=serial, service=name):
            return SocketsClosed(serial=serial, service=name, problem=because)
        case NextTime(serial=serial, service=name):
            return TimeTold(serial=serial, service=name, problem=because)
        case _:
            assert_never(command)


def outcome(command: Command, answer: Event) -> tuple[int, str] | None:
    """Give how a recorded command ended, in the record's words; None for what is not recorded."""
    if not isinstance(command, Spawn | Signal):
        return None
    if isinstance(answer, SpawnFailed):
        return (command.serial, answer.because)
    if isinstance(answer, SignalAnswered) and answer.problem:
        return (command.serial, answer.problem)
    return (command.serial, "done")


def _word(command: Spawn | Signal | PutRight) -> str:
    if isinstance(command, PutRight):
        return "repair"
    return "start" if isinstance(command, Spawn) else f"signal ({command.signal})"
