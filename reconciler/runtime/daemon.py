"""The loop: what the world reports goes into the engine, what it decides is done.

The only place that waits around the engine. Nothing that fails here ends the loop: a command
becomes an answer, a reading a hold, a record that cannot be written a line in the status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from reconciler.model.event import (
    Asked,
    Command,
    Decision,
    Event,
    Exited,
    Happening,
    HostLooked,
    ManifestsRead,
    Operation,
    OperationKind,
    TreeEmptied,
)
from reconciler.model.observed import Slot
from reconciler.model.plan import Situation
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.status import Picture
from reconciler.model.units import Nanos, RunId, in_seconds, seconds
from reconciler.ports import Clock, HostError
from reconciler.runtime.credit import Credit
from reconciler.runtime.journal import Journal
from reconciler.runtime.performer import Performer, outcome
from reconciler.runtime.source import Source
from reconciler.runtime.world import Decider, World

log = logging.getLogger(__name__)

LONGEST_SLEEP_S = 60.0
"""The loop's clock stands still while the host sleeps; ours does not."""
CALM_S = 1.0
"""After a step that raised, before the engine is asked again."""
LONGEST_GATHERING_S = 0.05
"""While answers pour in, deciding takes half of the time at most, but none waits longer."""
LOOKING_SHARE = 4
"""Parts of the time for the loop to each one for somebody who looks on at every step."""
HOST_RETRY_S = 1.0
HOST_RETRY_MAX_S = 10.0


class Daemon:
    """One life of the loop."""

    def __init__(self, engine: Decider, world: World) -> None:
        self._engine = engine
        self._clock = world.clock
        self._host = world.host
        self._is_holding = world.is_holding
        self._after_reading = world.after_reading
        self._close_doors = world.close_doors
        self._inbox: list[Event] = []
        self._answers: list[tuple[int, str]] = []
        self._something_came = asyncio.Event()
        self._turned = asyncio.Event()
        self._told = 0
        self._taken = 0
        self._is_stepping = False
        self._is_leaving = False
        self._is_over = False
        self._to_acknowledge = False
        self._credit = Credit()
        self._look_for_credit_at = Nanos(0)
        self._picture: Picture | None = None
        self._picture_cost_s = 0.0
        self.journal = Journal(world.store, world.clock)
        self.source = Source(world.manifests, self.tell)
        self.performer = Performer(world, self._answered)
        self._host_tells = world.through(self.tell)
        self.problem = ""
        """A defect of ours that stopped a step; empty while there is none."""
        self.ending = asyncio.Event()
        """Set once a shutdown was asked for."""
        self.has_finished = False
        """Whether a shutdown is complete: nothing runs any more."""
        self.returns = False
        """Whether this process goes on with the program as it is installed now."""
        self.host_problem = ""
        """Why no holder can be had; empty once one was."""

    # --- for others ------------------------------------------------------------------------

    def tell(self, event: Event) -> None:
        """Put an event into the inbox."""
        self._told += 1
        self._inbox.append(event)
        self._something_came.set()

    def ask(self, operation: Operation) -> None:
        """Put an operation into the inbox."""
        if operation.kind in (OperationKind.SHUTDOWN, OperationKind.KILL):
            self.ending.set()
        self.tell(Asked(operation=operation))

    @property
    def clock(self) -> Clock:
        """Give the clock that everything here goes by."""
        return self._clock

    @property
    def is_ending(self) -> bool:
        """Tell whether a shutdown was asked for."""
        return self.ending.is_set()

    def leave(self, *, returns: bool = False) -> None:
        """End the loop and let every service run on; one that `returns` begins anew at once."""
        self._is_leaving = True
        self.returns = returns
        self._something_came.set()

    def picture(self) -> Picture:
        """Give what people are shown, as of now; drawn once for each step of the engine."""
        now = self._clock.now()
        if self._picture is None:
            self._picture = self._engine.picture(now)
            self._picture_cost_s = in_seconds(Nanos(self._clock.now() - now))
        return replace(self._picture, now=now)

    async def next_picture(self) -> Picture:
        """Give the picture after the next step; looking on takes a fifth of our time at most."""
        await self.turn()
        await asyncio.sleep(LOOKING_SHARE * self._picture_cost_s)
        return self.picture()

    def slot(self, slot: Slot) -> tuple[ServiceSpec | None, SlotRecord | None]:
        """Give what is in force of a slot's service, and what is known of the slot."""
        situation = self.situation()
        memory = situation.services.get(slot.service)
        record = situation.slots.get(slot.service, {}).get(slot.index)
        return (memory.spec if memory else None, record)

    def tenant(self, run: RunId) -> Slot | None:
        """Give the slot that a run is in; None: it is none of ours, or over."""
        slots = self.situation().slots.values()
        records = [record for own in slots for record in own.values() if record.process]
        found = (r.memory.slot for r in records if r.process is not None and r.process.run == run)
        return next(found, None)

    def situation(self) -> Situation:
        """Give what a plan would be made of, as of now."""
        return self._engine.situation(self._clock.now())

    def credit(self, commit: str, actor: str) -> None:
        """Remember who asked for a commit, so that what follows from it says so."""
        self._credit.give(commit, actor)

    @property
    def has_seen_all(self) -> bool:
        """Tell whether the manifests and the host were read, which is when acting begins."""
        return self.source.last is not None and not self.picture().host_unseen

    @property
    def is_over(self) -> bool:
        """Tell whether the loop has ended."""
        return self._is_over

    async def turn(self) -> None:
        """Return after the next step of the engine, or once the loop has ended."""
        if self._is_over:
            await asyncio.sleep(0)  # whoever asks again and again starves nobody
            return
        await self._turned.wait()

    async def manifests_read(self) -> None:
        """Return once the manifests were read, or cannot be: before that no name is known."""
        while self.source.last is None and not self.source.held and not self._is_over:
            await self.turn()
        await self.caught_up()

    async def caught_up(self) -> None:
        """Return once all that was told by now has been decided on, and what was decided is told.

        A step that a deadline woke has nothing to take, and its events are told only when they
        are written down: whoever saw its picture waits for them too.
        """
        if self._is_stepping:
            await self.turn()
        told = self._told
        while self._taken < told and not self._is_over:
            await self.turn()

    async def note(self, happening: Happening) -> None:
        """Record something that happened outside of the engine."""
        await self._record(Decision(happenings=(happening,)))

    # --- the loop --------------------------------------------------------------------------

    async def run(self) -> None:
        """Supervise until a shutdown is complete, or until told to leave."""
        background = [
            asyncio.create_task(self._keep_up("record", self.journal.run)),
            asyncio.create_task(self._keep_up("reading", self.source.run)),
            asyncio.create_task(self._keep_opening_host()),
        ]
        try:
            await self._drive()
        finally:
            self._is_over = True
            self._turn_over()
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await self.performer.end()

    async def _drive(self) -> None:
        while not self._is_leaving:
            events, self._inbox = self._inbox, []
            told = self._told
            self._something_came.clear()
            self._is_stepping = True
            self._look_for_credit()
            began = self._clock.now()
            decision = self._decide(events)
            if any(isinstance(event, ManifestsRead) for event in events):
                self._after_reading(self.situation())
            spent_s = in_seconds(Nanos(self._clock.now() - began))
            is_written = await self._settle_accounts(decision)
            if decision.closes:
                self._close_doors(decision.closes)
            for command in decision.commands:
                self.performer.start(command)
            self._acknowledge(events, may=is_written and decision.may_acknowledge)
            self._taken = told
            self._turn_over()
            if decision.finished:
                self.has_finished = True
                return
            if self._inbox:
                await asyncio.sleep(min(spent_s, LONGEST_GATHERING_S))
            await self._sleep_until(decision.wake_at)

    def _turn_over(self) -> None:
        self._is_stepping = False
        self._turned.set()
        self._turned = asyncio.Event()

    def _decide(self, events: list[Event]) -> Decision:
        self._picture = None
        try:
            decision = self._engine.step(events, self._clock.now())
        except Exception as why:
            if self.problem != (problem := f"{type(why).__name__}: {why}"):
                log.exception("the engine failed at %s", [type(event).__name__ for event in events])
                self.problem = problem
            return Decision(wake_at=Nanos(self._clock.now() + seconds(CALM_S)))
        if self.problem and events:
            self.problem = ""
        return decision

    async def _settle_accounts(self, decision: Decision) -> bool:
        """Write down what was decided and answered, before anything new is done; tell if it is."""
        is_written = await self._record(decision)
        answers, self._answers = self._answers, []
        if answers:
            await self.journal.answered(answers)
        return is_written

    def _acknowledge(self, events: list[Event], *, may: bool) -> None:
        self._to_acknowledge |= any(isinstance(event, _ENDS) for event in events)
        # Every exit told so far is acknowledged at once, so none may be waiting unread.
        is_waiting = self._is_holding() or _has_ends(self._inbox)
        if self._to_acknowledge and may and not is_waiting:
            self._to_acknowledge = False
            self._host.acknowledge()

    async def _record(self, decision: Decision) -> bool:
        revision = self.source.last.revision.commit if self.source.last else ""
        signed = self._credit.sign(decision, self.source.last)
        return await self.journal.write(signed, revision=revision)

    def _look_for_credit(self) -> None:
        """See, before anything new is decided, whether somebody's commit is carried out."""
        now = self._clock.now()
        if self._credit.is_open and now >= self._look_for_credit_at:
            self._credit.look(self.picture())
            self._look_for_credit_at = Nanos(now + seconds(LOOKING_SHARE * self._picture_cost_s))

    async def _sleep_until(self, wake_at: Nanos | None) -> None:
        left_s = LONGEST_SLEEP_S
        if wake_at is not None:
            left_s = min(left_s, in_seconds(Nanos(wake_at - self._clock.now())))
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, left_s)):
                await self._something_came.wait()

    async def _open_host(self) -> bool:
        """Connect to the holder; afterwards it reconnects by itself."""
        try:
            await self._host.open(self._host_tells)
        except HostError as why:
            if str(why) != self.host_problem:
                log.error("%s", why)  # noqa: TRY400 - its sentence says it all
            self.host_problem = str(why)
            return False
        self.host_problem = ""
        return True

    async def _keep_opening_host(self) -> None:
        pause_s = HOST_RETRY_S
        while not await self._open_host():
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, HOST_RETRY_MAX_S)

    def _answered(self, command: Command, answer: Event) -> None:
        ended = outcome(command, answer)
        if ended is not None:
            self._answers.append(ended)
        self.tell(answer)

    async def _keep_up(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run something that must not end, again and again if it does."""
        while True:
            try:
                await run()
            except Exception as why:
                log.exception("the %s ended", name)
                self.problem = f"the {name} ended: {type(why).__name__}: {why}"
            await asyncio.sleep(CALM_S)


_ENDS = (Exited, TreeEmptied, HostLooked)
"""Events after which the holder may have something to forget."""


def _has_ends(events: Iterable[Event]) -> bool:
    return any(isinstance(event, Exited) for event in events)
