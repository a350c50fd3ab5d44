"""Tell the host's hooks what happens, and ask them before a start and before a stop.

Nothing here keeps the loop waiting: events go through a queue for each hook, and a question that
is not answered soon is answered by "not yet", and by what was said when it is asked again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from reconciler.model.event import Event, Happening, Signal, SignalAnswered, Spawn, SpawnFailed
from reconciler.model.observed import Slot
from reconciler.model.spec import Hook
from reconciler.model.units import ServiceName
from reconciler.ports import EventRecord
from reconciler.runtime.journal import Listener

log = logging.getLogger(__name__)

QUEUE_LIMIT = 200
"""Events that may wait for one hook; what comes on top is dropped, and counted."""
PATIENCE_S = 5.0
"""How long a start or a stop waits for its answer before it is told to ask again."""
FRESH_S = 30.0
"""How long an answer counts that nobody has come for."""
AT_ONCE = 8
"""Questions that are put to hooks at the same time."""

PRE_START, PRE_STOP = "pre-service-start", "pre-service-stop"
NOTEWORTHY = frozenset(
    {
        "daemon.brought-back",
        "health.alert",
        "health.gave-up",
        "hook.failed",
        "drift.begun",
        "drift.ended",
        "drift.found",
        "plan.refused",
        "prune.held",
        "record.trouble",
        "schedule.missed",
        "service.crashed",
        "service.gave-up",
        "service.over-limit",
        "service.refused",
        "service.reload-failed",
        "service.unknown",
        "watch.held",
    }
)
"""Events that a person should know of."""
_OCCASIONS = {
    "service.ready": "post-service-start",
    "service.stopped": "post-service-stop",
    "service.crashed": "service-crashed",
    "service.degraded": "service-degraded",
    "config.changed": "post-service-config-change",
    "git.committed": "post-git-commit",
}


class HookRunner(Protocol):
    """Runs programs of the host."""

    async def sweep(self) -> None:
        """End what is left of the hooks of a daemon that was killed. Never raises."""
        ...

    async def run(self, kind: str, hook: Hook, document: bytes) -> str:
        """Run a hook to its end; give what was wrong, or nothing. Never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What hooks are run with and told by."""

    runner: HookRunner
    settings: Callable[[], Mapping[str, Hook]]
    """The hooks as weaver.yaml has them now."""
    wall: Callable[[], float]
    note: Callable[[Happening], Awaitable[None]]
    """Puts on record what came of a hook."""
    revision: Callable[[], str]


def occasions(event: EventRecord) -> tuple[str, ...]:
    """Give the hooks that an event is for; what came of a hook of the host is for none."""
    if event.data.get("of") == "host":
        return ()
    own = _OCCASIONS.get(event.kind)
    notify = ("notify",) if event.kind in NOTEWORTHY else ()
    return ((own,) if own else ()) + notify


class HostHooks:
    """The queues of the hooks that are told of events; one worker for each."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._queues: dict[str, asyncio.Queue[EventRecord]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self.dropped: dict[str, int] = {}
        """Events that a hook was not told of, because too many waited for it."""

    def trouble(self) -> str:
        """Say which hooks are too slow for what happens; nothing where none is."""
        slow = [f"{kind} ({count} dropped)" for kind, count in sorted(self.dropped.items())]
        return f"hooks of the host cannot keep up: {', '.join(slow)}" if slow else ""

    async def run(self, listen: Callable[[], Listener]) -> None:
        """Hear of events until told to end; whoever runs is ended then, too."""
        try:
            await self._around.runner.sweep()
            while True:
                with listen() as listener:
                    async for event in listener:
                        self.offer(event)
                log.warning("events came faster than hooks could be told of them; some were missed")
        finally:
            for worker in self._workers.values():
                worker.cancel()
            await asyncio.gather(*self._workers.values(), return_exceptions=True)

    def offer(self, event: EventRecord) -> None:
        """Queue an event for each hook that is set for it."""
        settings = self._around.settings()
        for kind in occasions(event):
            if kind in settings:
                self._queue(kind, event)

    def _queue(self, kind: str, event: EventRecord) -> None:
        queue = self._queues.setdefault(kind, asyncio.Queue(QUEUE_LIMIT))
        if queue.full():
            if kind not in self.dropped:
                log.warning("%s cannot keep up: events are dropped from now on", kind)
            self.dropped[kind] = self.dropped.get(kind, 0) + 1
            return
        queue.put_nowait(event)
        if kind not in self._workers:
            self._workers[kind] = asyncio.create_task(self._work(kind, queue))

    async def _work(self, kind: str, queue: asyncio.Queue[EventRecord]) -> None:
        while True:
            event = await queue.get()
            hook = self._around.settings().get(kind)
            if hook is not None:
                await self._tell(kind, hook, event)
            if queue.empty() and (missed := self.dropped.pop(kind, 0)):
                await self._failed(kind, event, f"it was not told of {missed} events: too slow")

    async def _tell(self, kind: str, hook: Hook, event: EventRecord) -> None:
        problem = await self._around.runner.run(kind, hook, document(kind, event))
        if problem:
            await self._failed(kind, event, problem)

    async def _failed(self, kind: str, event: EventRecord, problem: str) -> None:
        log.warning("the hook %s failed: %s", kind, problem)
        await self._around.note(failure(kind, event.service, problem))


class Gate:
    """Asks the two hooks that may refuse. A hook that cannot answer has not said yes."""

    def __init__(self, around: Surroundings, is_ending: Callable[[], bool]) -> None:
        self._around = around
        self._is_ending = is_ending
        self._asked: dict[str, asyncio.Task[tuple[str, float]]] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    async def may(self, command: Spawn | Signal) -> Event | None:
        """Give the refusal of a start or a stop, or nothing."""
        if isinstance(command, Spawn):
            return await self.may_start(command)
        return await self.may_stop(command)

    async def may_start(self, command: Spawn) -> SpawnFailed | None:
        """Give the refusal of a start, or nothing."""
        hook = self._around.settings().get(PRE_START)
        if hook is None or command.errand is not None:
            return None
        key = f"{PRE_START} {command.slot}"
        refusal = await self._ask(key, PRE_START, hook, command.slot, command.because)
        if not refusal:
            return None
        return SpawnFailed(
            serial=command.serial,
            slot=command.slot,
            step=PRE_START,
            errno=0,
            because=refusal,
            is_refused=True,
        )

    async def may_stop(self, command: Signal) -> SignalAnswered | None:
        """Give the refusal of a stop, or nothing; while Weaver ends, none counts."""
        hook = self._around.settings().get(PRE_STOP)
        if hook is None or not command.begins_stop:
            return None
        key = f"{PRE_STOP} {command.run}"
        refusal = await self._ask(key, PRE_STOP, hook, command.slot, command.because)
        if not refusal or self._is_ending():
            return None
        return SignalAnswered(
            serial=command.serial, slot=command.slot, problem=refusal, is_refused=True
        )

    async def close(self) -> None:
        """Give up what is being asked."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _ask(self, key: str, kind: str, hook: Hook, slot: Slot, because: str) -> str:
        """Give why it is refused, or nothing; asks no hook twice at the same time."""
        self._forget_stale()
        task = self._asked.get(key)
        if task is None:
            told = self._question(kind, slot, because)
            task = asyncio.create_task(self._run(kind, hook, told))
            self._asked[key] = task
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_S)
        if not done:
            return f"waiting for {kind}, which has not answered yet"
        self._asked.pop(key, None)
        problem, _ = task.result()
        return f"refused by {kind}: {problem}" if problem else ""

    async def _run(self, kind: str, hook: Hook, told: bytes) -> tuple[str, float]:
        async with self._room:
            problem = await self._around.runner.run(kind, hook, told)
        return problem, asyncio.get_running_loop().time()

    def _forget_stale(self) -> None:
        now = asyncio.get_running_loop().time()
        for key, task in list(self._asked.items()):
            if task.done() and (task.cancelled() or now - task.result()[1] > FRESH_S):
                del self._asked[key]

    def _question(self, kind: str, slot: Slot, because: str) -> bytes:
        return document(
            kind,
            EventRecord(
                seq=0,
                time=self._around.wall(),
                kind=kind,
                service=slot.service,
                instance=str(slot),
                reason=because,
                revision=self._around.revision(),
                actor="",
            ),
        )


def document(kind: str, event: EventRecord) -> bytes:
    """Give what a hook reads from its standard input: one line of JSON."""
    at = datetime.fromtimestamp(event.time, UTC).isoformat(timespec="milliseconds")
    return (
        json.dumps(
            {
                "formatVersion": "1.0",
                "hook": kind,
                "time": at.replace("+00:00", "Z"),
                "event": event.kind,
                "seq": event.seq,
                "service": event.service,
                "instance": event.instance,
                "reason": event.reason,
                "revision": event.revision,
                "actor": event.actor,
                "data": dict(event.data),
            }
        ).encode()
        + b"\n"
    )


def failure(kind: str, service: str, problem: str) -> Happening:
    """Give the event of a hook of the host that failed; no hook is told of it."""
    return Happening(
        kind="hook.failed",
        service=ServiceName(service) if service else None,
        reason=f"{kind}: {problem}",
        data={"hook": kind, "of": "host"},
    )
