"""Have slots checked while they run, each at times of its own, and tell when a verdict changes.

A check costs no step of the engine: what it comes to is folded here, and only another verdict is
an event. Nothing here waits: see `Checking`.
"""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from reconciler.core import rhythm
from reconciler.core.health import HealthState, begin, heed
from reconciler.model.event import Event, HealthTold
from reconciler.model.health import CheckResult, CheckType, HealthCheck, Verdict
from reconciler.model.observed import Slot, State
from reconciler.model.plan import Situation
from reconciler.model.record import SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, seconds
from reconciler.ports import Check, Checker, Clock
from reconciler.runtime.checked import HISTORY_LIMIT, Charts, Checked, SlotHealth
from reconciler.runtime.lanes import Lane, Pace
from reconciler.runtime.tallies import Tallies

CONNECTIONS = 512
"""Checks over the network at a time; half of the room is for those that were not slow."""
PROGRAMS = 32
"""Checks by a program at a time; the same holds of them."""
SLOW = seconds(0.25)
"""A check that took so long may take so long again."""
SLEPT = seconds(5)
"""So long after the time that we meant to wake up at, the host was asleep, or we were stopped."""
TOLD_AGAIN_AFTER = seconds(5)

_UP = (State.RUNNING, State.DEGRADED)
_KEPT = (*_UP, State.UNKNOWN)
"""A host that is out of sight for a moment is no new beginning."""
_PROGRAMS = (CheckType.COMMAND, CheckType.CUSTOM)


@dataclass(slots=True)
class _Subject:
    """One run of a slot that is checked."""

    check: Check
    part: float
    """Its share of each interval."""
    state: HealthState
    shown: SlotHealth
    ticket: int = 0
    """Of its place among those that are due; an older one is void."""
    begun: Nanos = Nanos(0)
    """When its last check began."""
    late: Nanos = Nanos(0)
    attempt: int = 0
    """The number of the check under way; an answer to another one is void."""
    give_up: Callable[[], None] | None = None
    """Gives up the check under way; None: there is none."""
    told: Verdict = Verdict.UNKNOWN
    """What the engine was told last."""
    told_at: Nanos = Nanos(0)
    known: Verdict = Verdict.UNKNOWN
    """What the engine has, as far as we know."""

    @property
    def pace(self) -> Pace:
        last = self.shown.last
        if last is None:
            return Pace.NEW
        return Pace.SLOW if last.took >= SLOW else Pace.QUICK

    @property
    def runs_program(self) -> bool:
        health = self.check.health
        return health.type in _PROGRAMS or (health.mcp is not None and bool(health.mcp.cmd))


class Checks:
    """Knows which slots are to be checked when, and what came of it."""

    def __init__(self, checker: Checker, clock: Clock, tell: Callable[[Event], None]) -> None:
        self._checker = checker
        self._clock = clock
        self._tell = tell
        self._began = clock.now()
        self._subjects: dict[Slot, _Subject] = {}
        self._line: list[tuple[Nanos, int, _Subject]] = []
        self._tickets = itertools.count(1)
        self._connections = Lane(CONNECTIONS)
        self._programs = Lane(PROGRAMS)
        self._tallies = Tallies()
        self.sooner: Callable[[], None] = lambda: None
        """Called when a check may be due before all others."""

    # --- for others ------------------------------------------------------------------------

    def charts(self) -> Charts:
        """Give what is known of how all slots are."""
        shown = {slot: subject.shown for slot, subject in self._subjects.items()}
        return Charts(slots=shown, tallies=self._tallies)

    @property
    def due(self) -> Nanos | None:
        """Give when the next check is due; None: none ever will be."""
        while self._line and self._line[0][1] != self._line[0][2].ticket:
            heapq.heappop(self._line)
        return self._line[0][0] if self._line else None

    def survey(self, situation: Situation) -> None:
        """Follow what runs now: take up new runs, let go of those that end, heed new settings."""
        found = {record.memory.slot: (record, spec) for record, spec in _checked(situation)}
        for slot in [slot for slot in self._subjects if slot not in found]:
            self._drop(slot)
        for record, spec in found.values():
            self._follow(record, spec)
        self._tallies.keep(situation.services)

    def begin_due(self) -> None:
        """Begin every check whose time has come."""
        now = self._clock.now()
        if (due := self.due) is not None and now - due > SLEPT:
            self._spread_out(now)
        while (due := self.due) is not None and due <= now:
            _, _, subject = heapq.heappop(self._line)
            subject.ticket = 0
            lane = self._lane(subject)
            if lane.enter(subject.check.slot, subject.pace):
                self._begin(subject)

    def close(self) -> None:
        """Give up what is under way."""
        subjects, self._subjects = self._subjects, {}
        self._line.clear()
        for subject in subjects.values():
            if subject.give_up is not None:
                subject.give_up()

    # --- which slots -----------------------------------------------------------------------

    def _follow(self, record: SlotRecord, spec: ServiceSpec) -> None:
        slot, process = record.memory.slot, record.process
        subject = self._subjects.get(slot)
        if subject is not None and process is not None and subject.check.run != process.run:
            self._drop(slot)
            subject = None
        if subject is None:
            if record.state in _UP:
                self._take_up(record, spec)
            return
        if subject.check.spec is not spec:
            self._renew(subject, spec)
        subject.known = record.verdict
        self._tell_again(subject)

    def _take_up(self, record: SlotRecord, spec: ServiceSpec) -> None:
        process, health = record.process, spec.health
        assert process is not None
        assert health is not None
        slot = record.memory.slot
        check = Check(slot=slot, run=process.run, spec=spec, health=health)
        part = rhythm.share(slot)
        is_adopted = process.started < self._began
        due = rhythm.first(part, health, self._clock.now(), is_adopted=is_adopted)
        ill = record.memory.ill
        known = Verdict.DEGRADED if ill and ill.run == process.run else Verdict.UNKNOWN
        subject = _Subject(
            check=check,
            part=part,
            state=begin(process.run, process.started, known),
            shown=SlotHealth(slot=slot, run=process.run, health=health, due=due, verdict=known),
        )
        self._subjects[slot] = subject
        self._line_up(subject, due)

    def _renew(self, subject: _Subject, spec: ServiceSpec) -> None:
        """Go by new settings, at once where they are about checks."""
        old, health = subject.check.health, spec.health
        assert health is not None
        if health != old:
            self._give_up(subject)
        subject.check = replace(subject.check, spec=spec, health=health)
        if health != old:
            if question(health) != question(old):
                # What another question was answered with counts no more; that it is ill does.
                state = subject.state
                subject.state = begin(state.run, state.started, state.verdict)
            due = rhythm.first(subject.part, health, self._clock.now(), is_adopted=False)
            subject.shown = replace(subject.shown, health=health)
            self._line_up(subject, due)

    def _drop(self, slot: Slot) -> None:
        subject = self._subjects.pop(slot)
        subject.ticket = 0
        self._give_up(subject)

    def _give_up(self, subject: _Subject) -> None:
        if subject.give_up is not None:
            subject.give_up()
            subject.give_up = None
            subject.attempt += 1
        self._make_room(subject)

    # --- when ------------------------------------------------------------------------------

    def _line_up(self, subject: _Subject, due: Nanos) -> None:
        subject.ticket = next(self._tickets)
        subject.shown = replace(subject.shown, due=due)
        heapq.heappush(self._line, (due, subject.ticket, subject))
        if self._line[0][2] is subject:
            self.sooner()

    def _spread_out(self, now: Nanos) -> None:
        """Give new times to all that became due while the host slept, lest they come together."""
        for subject in self._subjects.values():
            if subject.ticket and subject.shown.due <= now:
                due = rhythm.first(subject.part, subject.check.health, now, is_adopted=True)
                self._line_up(subject, due)

    def _following(self, subject: _Subject) -> Nanos:
        now, health = self._clock.now(), subject.check.health
        age = Nanos(now - subject.state.started)
        every = rhythm.pace(health, age, has_passed=subject.state.has_passed)
        return rhythm.following(subject.part, every, max(subject.begun, Nanos(now - every // 2)))

    # --- one check -------------------------------------------------------------------------

    def _lane(self, subject: _Subject) -> Lane:
        return self._programs if subject.runs_program else self._connections

    def _begin(self, subject: _Subject) -> None:
        subject.begun = self._clock.now()
        subject.late = Nanos(subject.begun - subject.shown.due)
        self._tallies.begun(subject.late)
        subject.attempt += 1
        heard = partial(self._heard, subject, subject.attempt)
        subject.give_up = self._checker.begin(subject.check, heard)

    def _heard(self, subject: _Subject, attempt: int, result: CheckResult) -> None:
        if self._subjects.get(result.slot) is not subject or subject.attempt != attempt:
            return  # its answer was on its way when it was given up
        subject.give_up = None
        self._make_room(subject)
        self._tallies.made(result)
        subject.state = heed(subject.state, result, subject.check.health)
        subject.shown = _shown(subject, result)
        self._line_up(subject, self._following(subject))
        if subject.state.verdict is not subject.told:
            self._tell_verdict(subject)
        else:
            self._tell_again(subject)

    def _make_room(self, subject: _Subject) -> None:
        for slot in self._lane(subject).leave(subject.check.slot):
            self._begin(self._subjects[slot])

    # --- telling ---------------------------------------------------------------------------

    def _tell_verdict(self, subject: _Subject) -> None:
        state = subject.state
        subject.told = subject.known = state.verdict
        subject.told_at = self._clock.now()
        self._tell(
            HealthTold(
                slot=subject.check.slot, run=state.run, verdict=state.verdict, reason=state.reason
            )
        )

    def _tell_again(self, subject: _Subject) -> None:
        """Tell what the engine has otherwise, but not what is on its way."""
        is_otherwise = subject.state.last is not None and subject.known is not subject.state.verdict
        if is_otherwise and self._clock.now() - subject.told_at >= TOLD_AGAIN_AFTER:
            self._tell_verdict(subject)


def _checked(situation: Situation) -> Iterator[tuple[SlotRecord, ServiceSpec]]:
    """Give the slots that are to be checked, as far as their processes are up."""
    for name, memory in situation.services.items():
        for record in situation.slots.get(name, {}).values():
            process, spec = record.process, memory.version(record.memory.slot.index)
            is_checked = spec.health is not None and record.state in _KEPT
            if is_checked and process is not None and process.exit is None:
                yield record, spec


def question(health: HealthCheck) -> tuple[object, ...]:
    """Give what is asked, without when and how often."""
    targets = (health.http, health.tcp, health.command, health.custom, health.mcp)
    return (health.type, *targets)


def _shown(subject: _Subject, result: CheckResult) -> SlotHealth:
    state = subject.state
    checked = Checked(
        at=result.at,
        took=result.took,
        late=subject.late,
        ok=result.ok,
        verdict=state.verdict,
        detail=sys.intern(result.detail),
        fault=result.fault,
    )
    return replace(
        subject.shown,
        verdict=state.verdict,
        failures=state.failures,
        successes=state.successes,
        last=result,
        history=(checked, *subject.shown.history[: HISTORY_LIMIT - 1]),
    )
