"""Follow services on their way, tell what happens to them, and say how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from reconciler.model.change import Verb
from reconciler.model.record import Rollout
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName
from reconciler.ports import EventRecord
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.journal import Listener
from reconciler.runtime.messages import (
    ActionSeen,
    Converged,
    EventSeen,
    Message,
    Phase,
    Problem,
)
from reconciler.runtime.outlook import Aim, Outlook, Standing, judge, reload_signal

FAILED = 4
TIMED_OUT = 9
MOST_PROBLEMS = 5
"""Services that failed are told one by one up to here, then counted."""
SIGNAL_KILLS_S = 0.3
"""By then a process has ended that does not handle the signal which was to reload it."""
MOST_NAMED = 3
"""Of those that are counted, so many are named."""

Tail = Callable[[ServiceName], Awaitable[tuple[str, ...]]]
"""Gives the last lines of a service's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chase:
    """Whom to follow, and where to."""

    names: tuple[ServiceName, ...]
    verbs: Mapping[ServiceName, tuple[Verb, ...]] = field(default_factory=dict)
    """What is planned for them, as far as is known."""
    aim: Aim = field(default_factory=Aim)
    deadline: float = 0.0
    """By the loop's clock."""
    begun: float = 0.0


class Pursuit:
    """One chase; `exit_code` says how it ended."""

    def __init__(self, daemon: Daemon, chase: Chase, tail: Tail) -> None:
        self._daemon = daemon
        self._chase = chase
        self._tail = tail
        self.exit_code = 0
        self.fallen: dict[ServiceName, Rollout] = {}
        """The rollouts that have failed, as they were when it ended."""

    async def run(self, listener: Listener) -> AsyncIterator[Message]:
        """Tell of events and actions until all are there, none can come any more, or time is up."""
        standings = self._standings()
        for message in self._news(listener):
            yield message
        while is_open(standings):
            if not await self._next_turn():
                break
            for message in self._news(listener):
                yield message
            standings = self._standings()
        if self._is_told_by_signal():
            standings = await self._outlasting(standings)
        # The last step may have been decided and not told yet.
        await self._daemon.caught_up()
        for message in self._news(listener):
            yield message
        async for message in self._conclusion(standings):
            yield message

    def _standings(self) -> Mapping[ServiceName, Standing]:
        picture, situation = self._daemon.picture(), self._daemon.situation()
        self.fallen = {
            name: status.rollout
            for name in self._chase.names
            if (status := picture.services.get(name)) and status.rollout and status.rollout.failed
        }
        return judge(picture, situation, self._chase.names, self._chase.aim)

    def _is_told_by_signal(self) -> bool:
        """Tell whether processes were reloaded by a signal, which kills who does not handle it."""
        services = self._daemon.picture().services
        known = [services[name] for name in self._chase.names if name in services]
        return self._chase.aim.loaded_since is not None and any(map(reload_signal, known))

    async def _outlasting(
        self, standings: Mapping[ServiceName, Standing]
    ) -> Mapping[ServiceName, Standing]:
        """Wait for as long as a process may yet die of a signal, or until one has."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SIGNAL_KILLS_S):
                while all(one.outlook is Outlook.THERE for one in standings.values()):
                    await self._daemon.next_picture()
                    standings = self._standings()
        return standings

    async def _next_turn(self) -> bool:
        """Wait for the next step; False when time is up."""
        try:
            async with asyncio.timeout_at(self._chase.deadline):
                await self._daemon.next_picture()
        except TimeoutError:
            return False
        return not self._daemon.is_over

    def _news(self, listener: Listener) -> Iterator[Message]:
        services = self._daemon.picture().services
        for event in listener.drain():
            name = ServiceName(event.service)
            if name not in self._chase.names:
                continue
            spec = services[name].spec if name in services else None
            yield EventSeen(event=event)
            action = action_of(event, self._chase.verbs.get(name, ()), spec)
            if action is not None:
                yield action

    async def _conclusion(
        self, standings: Mapping[ServiceName, Standing]
    ) -> AsyncIterator[Message]:
        behind = {
            name: standing
            for name, standing in standings.items()
            if standing.outlook is not Outlook.THERE
        }
        if not behind:
            now = asyncio.get_running_loop().time()
            yield Converged(
                revision=self._daemon.picture().revision,
                services=self._chase.names,
                seconds=now - self._chase.begun,
            )
            return
        is_stuck = any(standing.outlook is Outlook.STUCK for standing in behind.values())
        self.exit_code = FAILED if is_stuck else TIMED_OUT
        worst_first = sorted(behind.items(), key=lambda item: (item[1].outlook, item[0]))[::-1]
        for name, standing in worst_first[:MOST_PROBLEMS]:
            yield await self._problem(name, standing)
        if len(behind) > MOST_PROBLEMS:
            more = [name for name, _ in worst_first[MOST_PROBLEMS:]]
            yield Problem(
                title=f"{_more(more)} not as wanted either",
                mend="weaver status --problems shows them all",
                exit_code=self.exit_code,
            )

    async def _problem(self, name: ServiceName, standing: Standing) -> Problem:
        is_stuck = standing.outlook is Outlook.STUCK
        what = "is not as wanted" if is_stuck else "is not there yet, and time is up"
        return Problem(
            title=f"{name} {what}: {standing.because}",
            mend=f"weaver why {name}" if is_stuck else "it goes on; weaver status shows how",
            exit_code=FAILED if is_stuck else TIMED_OUT,
            service=name,
            log_tail=await self._tail(name),
        )


def is_open(standings: Mapping[ServiceName, Standing]) -> bool:
    """Tell whether anything may still come."""
    return any(standing.outlook is Outlook.COMING for standing in standings.values())


_BEGINS = {"service.starting": Verb.START, "service.stopping": Verb.STOP}
_ENDS = {
    "service.ready": Verb.START,
    "service.completed": Verb.START,
    "service.stopped": Verb.STOP,
}
_RELOADS = {
    "service.reloading": Phase.START,
    "service.reloaded": Phase.DONE,
    "service.reload-failed": Phase.FAILED,
}
_FAILS = dict.fromkeys(("service.crashed", "service.gave-up", "service.refused"), Verb.START)


def action_of(
    event: EventRecord, planned: tuple[Verb, ...], spec: ServiceSpec | None
) -> ActionSeen | None:
    """Tell what an event means for what was planned: a restart is one action, stop to ready."""
    # One that only helps out while others are replaced comes and goes.
    is_restart = Verb.RESTART in planned and not _is_extra(event, spec)
    is_oneshot = spec is not None and spec.is_oneshot
    kind = event.kind
    if kind in _RELOADS:
        return _seen(event, Verb.RELOAD, _RELOADS[kind], spec)
    if kind == "config.changed" and planned == (Verb.UPDATE,):
        return _seen(event, Verb.UPDATE, Phase.DONE, spec)
    if kind in _BEGINS:
        verb = Verb.RESTART if is_restart else _BEGINS[kind]
        return _seen(event, verb, Phase.START, spec)
    if kind == "service.ready" and is_oneshot:
        return None
    if kind == "service.stopped" and is_restart:
        return None
    if kind in _ENDS:
        verb = Verb.RESTART if is_restart else _ENDS[kind]
        return _seen(event, verb, Phase.DONE, spec)
    if kind == "service.refused" and Verb.STOP in planned:
        return _seen(event, Verb.STOP, Phase.FAILED, spec)
    if kind in _FAILS:
        verb = Verb.RESTART if is_restart else _FAILS[kind]
        return _seen(event, verb, Phase.FAILED, spec)
    return None


def _seen(event: EventRecord, verb: Verb, phase: Phase, spec: ServiceSpec | None) -> ActionSeen:
    """Tell of an action; which instance it is of matters only where there are several."""
    is_only = spec is not None and spec.instances == 1
    return ActionSeen(
        service=ServiceName(event.service),
        action=verb,
        phase=phase,
        instance="" if is_only else event.instance,
        reason=event.reason,
    )


def _is_extra(event: EventRecord, spec: ServiceSpec | None) -> bool:
    """Tell whether an event is of a slot above those that a service has by itself."""
    index = event.instance.rpartition("-")[2]
    return spec is not None and index.isdecimal() and int(index) >= spec.instances


def _more(names: Sequence[str]) -> str:
    """Say which further ones there are.

    >>> _more(["big"]), _more(["a", "b", "c", "d", "e"])
    ('1 more, big, is', '5 more, a, b, c and others, are')
    """
    named = ", ".join(names[:MOST_NAMED]) + " and others" * (len(names) > MOST_NAMED)
    return f"{len(names)} more, {named}, {'is' if len(names) == 1 else 'are'}"
