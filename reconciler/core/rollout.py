"""Bring a new version into the slots of a service one after the other, or keep the one before.

A slot that was rolled has to run the new version; all others run on as they are. One more slot is
rolled when enough serve without it: those that were not rolled and are up, and those that were and
have been ready for `minReady`. With `start-first` slots above the service's own come first, which
live only as long as the rollout.

A new process that does not get ready, or ends even once before it counts, stops all of it: its
version is quarantined, the slot goes back to the version before, and so do all others where
`onFailure` says so. Nothing here acts: the plan compares what runs with what a slot has to run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.core.wishes import is_live, is_up, unused
from reconciler.model.observed import Slot, State
from reconciler.model.record import Rollout, RolloutPhase, ServiceMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Digest, Nanos
from reconciler.model.update import OnFailure

QUARANTINED_KEPT = 32
"""Versions that failed and are remembered, of each service."""
FAILS_TO_SERVE = 2
"""Failures in a row after which a slot is no loss while it is replaced."""
_MOVING = (RolloutPhase.ROLLING, RolloutPhase.BACK)

Records = Mapping[int, SlotRecord]


def begin(
    memory: ServiceMemory, spec: ServiceSpec, records: Records, now: Nanos, *, anew: bool = False
) -> Rollout | None:
    """Give the rollout that brings a spec into force; None where nothing is put at risk by it.

    `anew` is a restart: every process is replaced, whatever it runs.
    """
    former = memory.rollout
    base = former.base if former is not None else memory.spec
    # Where both are one version, what it loads may have changed since.
    base = memory.spec if base.digest == memory.spec.digest else base
    if former is not None and former.to.digest == spec.digest and not anew:
        base = spec if base.digest == spec.digest else base
        kept = replace(former, to=spec, base=base, surge=min(former.surge, spec.surge))
        return kept if spec.rolls or former.failed else None
    is_served = any(is_up(record) for record in records.values())
    runs = {record.process.digest for record in records.values() if record.process is not None}
    is_same = runs <= {spec.digest} and spec.digest == base.digest and not anew
    is_kept_away = spec.digest in memory.quarantined and not anew
    # A version that failed stays away, be it that a single instance is wanted by now.
    if is_same or not (is_kept_away or (spec.rolls and is_served)):
        return None
    since = memory.restart_before or now if anew else Nanos(0)
    surge = min(former.surge, spec.surge) if former else 0
    begun = Rollout(to=spec, base=base, since=since, began=now, surge=surge)
    if is_kept_away:
        why = "this version failed before"
        return replace(begun, phase=RolloutPhase.BACK, because=why, failed=True)
    return begun


def advance(memory: ServiceMemory, records: Records, now: Nanos) -> ServiceMemory:
    """Give a service's memory with its rollout as far as it may go at this moment."""
    rollout = memory.rollout
    if rollout is None:
        return memory
    view = _View(rollout=rollout, records=records, now=now).proven_by_now()
    rollout = view.rollout
    if not rollout.failed and (failure := next(view.failures(), None)) is not None:
        return _failed(memory, rollout, records, *failure)
    match rollout.phase:
        case RolloutPhase.ROLLING:
            rollout = view.of_what_has_begun().rolled_on()
        case RolloutPhase.BACK:
            rollout = view.gone_back()
        case RolloutPhase.PAUSED if rollout.failed:
            rollout = view.without_the_fallen()
    return replace(memory, rollout=rollout)


def ask(
    memory: ServiceMemory, verb: str, records: Records, *, is_seen: bool = True
) -> ServiceMemory:
    """Give a service's memory after a person said `pause`, `resume` or `undo`.

    `is_seen` says whether the records tell what runs now.
    """
    rollout = memory.rollout
    if rollout is None:
        return memory
    if verb != "resume" and memory.restart_before is not None:
        # Whoever asked for a restart before, and was not heard yet, has changed their mind.
        rollout = replace(rollout, since=max(rollout.since, memory.restart_before))
    match verb:
        case "pause" if rollout.phase in _MOVING:
            because = "somebody asked for it"
            paused = replace(rollout, phase=RolloutPhase.PAUSED, because=because, failed=False)
            return replace(memory, rollout=_of_new_ones(paused, records))
        case "resume" if rollout.phase is not RolloutPhase.ROLLING:
            tried = replace(memory, quarantined=without(memory, rollout.to.digest))
            if not rollout.to.rolls:
                return replace(tried, rollout=None)
            going = replace(rollout, phase=RolloutPhase.ROLLING, because="", failed=False)
            return replace(tried, rollout=_of_new_ones(going, records))
        case "undo" if rollout.phase in (RolloutPhase.ROLLING, RolloutPhase.PAUSED):
            because = "somebody asked for it"
            # Of what nobody sees at the moment it counts what was proven.
            left = _standing(rollout, records) if is_seen else rollout.proven
            back = replace(rollout, phase=RolloutPhase.BACK, because=because, failed=True)
            back = replace(back, rolled=left, proven=left)
            return quarantine(replace(memory, rollout=back))
        case _:
            return memory


def _of_new_ones(rollout: Rollout, records: Records) -> Rollout:
    """Count only what the rollout has brought: what stood through a failure it may yet replace."""
    new = {i for i in rollout.rolled if i not in records or _is_new(rollout, records[i])}
    return replace(
        rollout,
        rolled=tuple(index for index in rollout.rolled if index in new),
        proven=tuple(index for index in rollout.proven if index in new),
    )


def quarantine(memory: ServiceMemory) -> ServiceMemory:
    """Remember that the version of a rollout is not to be tried again by itself."""
    rollout = memory.rollout
    if rollout is None or rollout.to.digest == rollout.base.digest:
        return memory  # what runs already is no version to keep away
    kept = (*without(memory, rollout.to.digest), rollout.to.digest)
    return replace(memory, quarantined=kept[-QUARANTINED_KEPT:])


def why_rolled(rollout: Rollout, record: SlotRecord) -> str:
    """Say why a slot's process has to give way to the version it is to run; empty: it has not."""
    process = record.process
    if process is None:
        return ""
    index, is_to = record.memory.slot.index, process.digest == rollout.to.digest
    if index in rollout.rolled:
        if rollout.failed:
            return ""  # it stands, until its turn comes to go back
        if not is_to:
            return "its manifest changed"
        return "a restart was asked for" if process.started < rollout.since else ""
    is_other = rollout.to.digest != rollout.base.digest
    # One above the service's own helps out as it is, and ends with the rollout.
    is_wrong = is_other and is_to and rollout.failed and index < rollout.to.instances
    return f"back to the version before: {rollout.because}" if is_wrong else ""


def next_moment(rollout: Rollout, records: Records, now: Nanos) -> Nanos | None:
    """Give when `minReady` of a process that is ready is over; None: nothing is waited for."""
    if rollout.failed:
        return None
    least = rollout.to.update.min_ready
    found = [
        Nanos(record.since + least)
        for index, record in records.items()
        if index in rollout.rolled and record.state is State.RUNNING and _is_new(rollout, record)
    ]
    return min((at for at in found if at > now), default=None)


def _standing(rollout: Rollout, records: Records) -> tuple[int, ...]:
    """Give the slots that serve as the new version, be it that they did so before."""
    found = [
        index
        for index, record in sorted(records.items())
        if is_up(record) and _is_new(rollout, record)
        if index in rollout.proven or index not in rollout.rolled
    ]
    return tuple(index for index in found if index < rollout.to.instances + rollout.surge)


def without(memory: ServiceMemory, digest: Digest) -> tuple[Digest, ...]:
    """Give the versions that failed but this one."""
    return tuple(one for one in memory.quarantined if one != digest)


def _is_new(rollout: Rollout, record: SlotRecord) -> bool:
    """Tell whether a slot's process is one that the rollout has brought."""
    process = record.process
    is_to = process is not None and process.digest == rollout.to.digest
    return is_to and process is not None and process.started >= rollout.since


def _failed(
    memory: ServiceMemory, rollout: Rollout, records: Records, index: int, because: str
) -> ServiceMemory:
    """Stop a rollout: what fell goes back to the version before, and all if that is wanted."""
    left = tuple(one for one in _standing(rollout, records) if one != index)
    is_above = index >= rollout.to.instances
    phase = RolloutPhase.PAUSED
    if rollout.to.update.on_failure is OnFailure.ROLLBACK:
        phase = RolloutPhase.BACK
    rollout = replace(
        rollout,
        phase=phase,
        rolled=left,
        proven=left,
        surge=0 if is_above else rollout.surge,
        because=because,
        failed=True,
    )
    return quarantine(replace(memory, rollout=rollout))


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """One rollout, with what is known of the slots."""

    rollout: Rollout
    records: Records
    now: Nanos

    @property
    def own(self) -> range:
        """Give the slots that the service has without a rollout."""
        return range(self.rollout.to.instances)

    @property
    def all(self) -> range:
        """Give the slots that it has now."""
        return range(self.rollout.to.instances + self.rollout.surge)

    @property
    def above(self) -> range:
        """Give the slots that it has only now."""
        return range(self.rollout.to.instances, self.rollout.to.instances + self.rollout.surge)

    @property
    def standing(self) -> tuple[int, ...]:
        """Give the slots that were rolled, and whose process is up."""
        return tuple(i for i in self.rollout.rolled if is_up(self.record(i)) and i in self.all)

    def record(self, index: int) -> SlotRecord:
        found = self.records.get(index)
        return found or unused(Slot(service=self.rollout.to.name, index=index))

    def serves(self, index: int) -> bool:
        """Tell whether a slot can be counted on."""
        record, rollout = self.record(index), self.rollout
        if not is_up(record) or record.pending is not None:
            return False
        if index in rollout.rolled:
            return index in rollout.proven
        digest = record.process.digest if record.process is not None else None
        # What a rollout had brought, and did not prove before it failed, helps out at best.
        is_left_over = rollout.failed and digest == rollout.to.digest != rollout.base.digest
        return not is_left_over and not why_rolled(rollout, record)

    def proven_by_now(self) -> _View:
        """Count the slots that have been ready for long enough by now."""
        rollout = self.rollout
        found = tuple(
            index
            for index in rollout.rolled
            if index in rollout.proven or self._is_proven(self.record(index))
        )
        if found == rollout.proven:
            return self
        return replace(self, rollout=replace(rollout, proven=found))

    def _is_proven(self, record: SlotRecord) -> bool:
        is_ready = record.state is State.RUNNING and _is_new(self.rollout, record)
        return is_ready and self.now - record.since >= self.rollout.to.update.min_ready

    def failures(self) -> Iterator[tuple[int, str]]:
        """Give the slots whose new process failed before it could be counted on, and why."""
        for index in self.rollout.rolled:
            if index not in self.rollout.proven and (because := self._why_failed(index)):
                yield index, f"{self.record(index).memory.slot}: {because}"

    def _why_failed(self, index: int) -> str:
        rollout, record = self.rollout, self.record(index)
        memory, check = record.memory, rollout.to.health
        if memory.tried != rollout.to.digest:
            return ""
        if record.state is State.DEGRADED and check is not None and check.is_of_one_slot:
            return memory.ill.because if memory.ill is not None else "its check fails"
        end = memory.last_exit
        has_ended = end is not None and end.at >= rollout.began and memory.exited != memory.asked
        if has_ended and memory.newest < rollout.began:
            return ""  # that was the process before
        if record.state is State.CRASHED and record.since >= rollout.began:
            return memory.trouble.because or record.reason
        if record.state is State.STOPPED and has_ended:
            return record.reason or "it ended"
        return ""

    def of_what_has_begun(self) -> _View:
        """Let what serves on as it was be chosen anew: a need was missing, or more are to serve."""
        rollout = self.rollout
        waiting = {i for i in rollout.rolled if is_up(self.record(i))}
        waiting = {i for i in waiting if why_rolled(rollout, self.record(i))}
        waiting = {i for i in waiting if self.record(i).pending is None}
        if not waiting:
            return self
        rolled = tuple(index for index in rollout.rolled if index not in waiting)
        return replace(self, rollout=replace(rollout, rolled=rolled))

    def rolled_on(self) -> Rollout:
        """Roll as many slots as may be, and end the rollout when all are."""
        free = {index for index in self.own if self._is_free(index)}
        view = replace(self, rollout=self.with_rolled(free)).proven_by_now()
        unproven = [index for index in self.own if index not in view.rollout.proven]
        surge = min(self.rollout.to.surge, len(unproven))
        view = replace(view, rollout=replace(view.rollout, surge=surge))
        above = {index for index in view.above if self._is_empty_or_new(index)}
        rest = [index for index in view.all if index not in (*view.rollout.rolled, *above)]
        view = replace(view, rollout=view.with_rolled(above))
        return view.with_rolled(view.next_ones(rest))

    def with_rolled(self, rolled: Iterable[int]) -> Rollout:
        """Give the rollout with these slots rolled, too."""
        rollout, all_ = self.rollout, self.all
        found = {index for index in (*rollout.rolled, *rolled) if index in all_}
        proven = tuple(index for index in rollout.proven if index in all_)
        return replace(rollout, rolled=tuple(sorted(found)), proven=proven)

    def _is_free(self, index: int) -> bool:
        """Tell whether a slot may begin with the new version, or has it already."""
        record = self.record(index)
        is_unused = not is_live(record) and not record.memory.newest
        return is_unused or _is_new(self.rollout, record)

    def _is_empty_or_new(self, index: int) -> bool:
        """Tell whether a slot runs nothing but what the rollout has brought, proven or not."""
        record = self.record(index)
        return not is_live(record) or _is_new(self.rollout, record)

    def gone_back(self) -> Rollout:
        """Take as many slots back as may be, and rest when all are."""
        # What has ended is not started again as the version that is left.
        rollout = replace(self.rollout, rolled=self.standing)
        left = [index for index in self.own if index in rollout.rolled]
        surge = max(rollout.surge, min(rollout.to.surge, len(left)))
        view = replace(self, rollout=replace(rollout, surge=surge))
        back = {*view.next_ones(left)}
        rolled = tuple(index for index in rollout.rolled if index not in back)
        rollout = replace(rollout, rolled=rolled, surge=surge)
        view = replace(self, rollout=rollout)
        is_back = all(view.serves(index) for index in self.own)
        if left or not is_back:
            return rollout
        return replace(rollout, phase=RolloutPhase.UNDONE, rolled=(), proven=(), surge=0)

    def without_the_fallen(self) -> Rollout:
        """Let no slot be started again as a version that failed."""
        rollout = self.rollout
        keeps = rollout.surge if any(not self.serves(index) for index in self.own) else 0
        return replace(rollout, rolled=self.standing, surge=keeps)

    def next_ones(self, candidates: Iterable[int]) -> Iterator[int]:
        """Give the slots that may be replaced now: all others together serve well enough."""
        candidates = [*candidates]
        if not any(self.serves(index) for index in candidates):
            yield from candidates  # nothing that serves is put at risk
            return
        least = len(self.own) - self.rollout.to.unavailable
        spare = sum(self.serves(index) for index in self.all) - least
        for index in sorted(candidates, key=self.serves):
            if self.serves(index):
                spare -= 1
            elif not self._is_no_loss(self.record(index)):
                continue
            if spare >= 0:
                yield index

    def _is_no_loss(self, record: SlotRecord) -> bool:
        """Tell whether a slot that does not serve is not about to, either."""
        trouble, process = record.memory.trouble, record.process
        is_failing = trouble.gave_up or trouble.failures >= FAILS_TO_SERVE
        # What ended well, or waits for a need that its version has, may be down for good.
        is_late = trouble.retry_at is None or trouble.retry_at < self.now
        is_down = is_late and not is_live(record) and record.pending is None
        if is_failing or is_down or self.rollout.phase is RolloutPhase.BACK:
            return True
        known = (self.rollout.base.digest, self.rollout.to.digest)
        return process is not None and process.digest not in known


def is_over(memory: ServiceMemory) -> bool:
    """Tell whether every slot has what the rollout brings, and nothing is left of it to do."""
    rollout = memory.rollout
    if rollout is None or rollout.phase is not RolloutPhase.ROLLING:
        return False
    return {*range(rollout.to.instances)} <= {*rollout.proven}
