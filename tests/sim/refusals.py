"""What must hold of what the host refuses: it is told once, and tried again without a word."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.event import (
    Decision,
    Event,
    Exited,
    FilesChanged,
    HostLooked,
    HostLost,
    Measured,
    Notified,
    ProbeAnswered,
    SignalAnswered,
    Spawn,
    Spawned,
    SpawnFailed,
    TimeTold,
    TreeEmptied,
)
from reconciler.model.observed import Slot, State
from reconciler.model.units import Digest, Serial, ServiceName

OF_OTHERS = (
    Exited,
    HostLost,
    Measured,
    Notified,
    ProbeAnswered,
    SignalAnswered,
    Spawned,
    TreeEmptied,
)
"""News that asks for no start, but where it is of the very slot."""


class RefusalRules:
    """What the present daemon was refused, and has told of it."""

    def __init__(self) -> None:
        self._told: dict[Slot, str] = {}
        """Why each slot was last told to be refused, if nothing else has been told of it since."""
        self._tried: set[Slot] = set()
        """Slots whose last start was refused."""
        self._asked: dict[Slot, Serial] = {}
        """The last start of each slot."""
        self._versions: dict[Slot, Digest] = {}
        """... and which version that was."""
        self._is_quiet = False
        """Whether all that this step hears of is what is under way."""
        self._heard: set[Slot] = set()
        """Slots of which this step tells something else."""
        self._refused: set[Slot] = set()
        """Slots whose start was refused just now."""

    def begin(self) -> None:
        """Begin a daemon's life: it was refused nothing."""
        self._told.clear()
        self._tried.clear()
        self._asked.clear()

    def before(self, events: Iterable[Event]) -> None:
        """Note what the engine is about to hear."""
        self._heard.clear()
        self._refused.clear()
        self._is_quiet = True
        for event in events:
            match event:
                case SpawnFailed(slot=slot) if self._asked.get(slot) != event.serial:
                    # Nobody waits for it any more.
                    self._heard.add(slot)
                case SpawnFailed(slot=slot) if event.is_refused or event.is_short:
                    self._tried.add(slot)
                    self._refused.add(slot)
                case SpawnFailed(slot=slot):
                    self._forget(slot)
                case Spawned(process=process):
                    self._forget(process.slot)
                case FilesChanged(service=name) | TimeTold(service=name):
                    self._is_quiet = False
                    self.forgive([name])
                case HostLooked():
                    # What it shows may be told of any slot.
                    self._is_quiet = False
                    self._told.clear()
                case _:
                    self._is_quiet &= isinstance(event, OF_OTHERS)
                    self._heard |= {slot for slot in [getattr(event, "slot", None)] if slot}

    def forgive(self, services: Iterable[ServiceName]) -> None:
        """Begin anew: people asked for it, or there is another version."""
        known = self._tried.union(self._told)
        for slot in [slot for slot in known if slot.service in services]:
            self._forget(slot)

    def _forget(self, slot: Slot) -> None:
        self._told.pop(slot, None)
        self._tried.discard(slot)
        self._heard.add(slot)

    def told(self, decision: Decision) -> None:
        """See that no refusal is told twice, and that one more try of what was refused is not."""
        starts = [one for one in decision.commands if isinstance(one, Spawn)]
        again = {one.slot: one.serial for one in starts}
        versions = {one.slot: one.spec.digest for one in starts}
        # A slot may be tried as another version, which is news.
        renewed = {one for one in versions if self._versions.get(one) != versions[one]}
        self._heard |= renewed
        self._versions |= versions
        for change in decision.transitions:
            slot = change.slot
            is_try = change.after is State.STARTING and slot in again and slot in self._tried
            is_dull = is_try and self._is_quiet and slot not in self._heard
            assert not is_dull, f"{slot} is said to start each time that it is refused"
            is_tried_on = change.after is State.STARTING or slot in self._refused
            if not is_tried_on or change.after is State.CRASHED:
                self._forget(slot)
                self._asked.pop(slot, None)
        self._asked |= again
        for happening in decision.happenings:
            who = happening.slot
            if happening.kind == "service.refused" and who is not None:
                is_news = self._told.get(who) != happening.reason
                assert is_news, f"{who} is told to be refused, and was told before"
                self._told[who] = happening.reason
        for slot in renewed:
            self._told.pop(slot, None)
