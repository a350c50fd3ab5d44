"""What must hold of reloads: told only when there is something to load, and never for long undone.

Stated against what processes have really loaded, and what the daemon was told and has on record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model.event import (
    Asked,
    Decision,
    Event,
    FilesChanged,
    OperationKind,
    Signal,
    SignalAnswered,
    Spawn,
)
from reconciler.model.observed import Slot
from reconciler.model.spec import ServiceSpec, ServiceType
from reconciler.model.units import Nanos, RunId, Serial, ServiceName
from tests.sim.machine import Machine, Run

Loads = Mapping[str, str]
OVER = ("service.reloaded", "service.reload-failed")


class ReloadRules:
    """What each process was told to load, as far as the record knows."""

    def __init__(self) -> None:
        self._sent: dict[Serial, tuple[RunId, Nanos, Loads]] = {}
        self._says_when: dict[RunId, Slot] = {}
        self._heard: list[tuple[RunId, Nanos, Loads]] = []
        """Reloads that are known to have come to pass, and are not on record yet."""
        self._under_way: dict[Slot, tuple[RunId, Nanos, Loads]] = {}
        """Reloads of services that say themselves when they are over, as sd_notify has it.

        A daemon that dies before it heard that leaves them to be told again.
        """
        self._asked_now: dict[ServiceName, Nanos] = {}
        self._asked: dict[ServiceName, Nanos] = {}
        self._begins: dict[Slot, Loads] = {}
        """What each slot's last start was given to load."""
        self._begun: dict[Slot, Loads] = {}
        """... that is on record."""
        self._has: dict[RunId, tuple[Nanos, Loads]] = {}
        self._ordered: dict[Slot, tuple[RunId, Nanos, Loads]] = {}
        """Reloads by the command that was run last; it outlives a daemon."""
        self._told: list[tuple[Slot, tuple[RunId, Nanos, Loads], bool]] = []
        """Those of them that were told as over, well or not, and are not on record as such."""
        self.failed: dict[RunId, Loads] = {}
        """What the command of a process failed to have it load; that is not tried again."""

    def begin(self) -> None:
        """Begin a daemon's life: what is not on record is as if it had never been."""
        self._sent.clear()
        self._heard.clear()
        self._told.clear()
        self._begins = dict(self._begun)
        self._under_way.clear()
        self._asked_now.clear()

    def forget(self) -> None:
        """Begin anew: the record is lost, or the host was booted."""
        self._asked.clear()
        self._has.clear()
        self._begun.clear()
        self._ordered.clear()

    def before(self, events: Iterable[Event], now: Nanos) -> None:
        """Note what the engine is about to hear."""
        for event in events:
            match event:
                case SignalAnswered(serial=serial, problem=""):
                    found = self._sent.pop(serial, None)
                    if found and self._was_sent_again(found[0], serial):
                        continue  # It comes too late: it was taken for lost, and told again.
                    if found and found[0] in self._says_when:
                        self._under_way[self._says_when[found[0]]] = found
                    elif found:
                        self._heard.append(found)
                case FilesChanged(service=name, at=at):
                    self._asked_now[name] = at
                case Asked(operation=asked) if asked.kind is OperationKind.RELOAD:
                    self._asked_now.update(dict.fromkeys(asked.services, now))
                case _:
                    pass

    def _was_sent_again(self, run: RunId, serial: Serial) -> bool:
        return any(later > serial and sent[0] == run for later, sent in self._sent.items())

    def recorded(self, written: Iterable[Decision]) -> None:
        """Note that all that was heard is on record."""
        for decision in written:
            for slot, memory in decision.remembered.slots.items():
                sent = self._under_way.get(slot)
                since = memory.reloaded_at if memory is not None else None
                if sent is not None and since is not None and since >= sent[1]:
                    # It is over, be it that it took too long: what was told is not told again.
                    self._heard.append(self._under_way.pop(slot))
        for slot, found, is_good in self._told:
            if self._ordered.get(slot) is found:
                del self._ordered[slot]
            if not is_good:
                self.failed[found[0]] = found[2]
        self._told.clear()
        for run, at, loads in self._heard:
            self._has[run] = (at, loads)
        self._heard.clear()
        self._begun = dict(self._begins)
        self._asked |= self._asked_now
        self._asked_now.clear()

    def told(self, decision: Decision) -> None:
        """Note which commands are told as over: the next one may be run in the same step."""
        for told in decision.happenings:
            if told.kind in OVER and told.slot in self._ordered:
                found = self._ordered[told.slot]
                self._heard.append(found)
                self._told.append((told.slot, found, told.kind == "service.reloaded"))

    def starts(self, order: Spawn) -> None:
        """Note what a process has loaded from its start on, as far as the daemon can know."""
        self._begins[order.slot] = dict(order.spec.loads)

    def may_reload(
        self, order: Signal, run: Run, spec: ServiceSpec | None, now: Nanos, *, is_known: bool
    ) -> None:
        """See that there is a reason to tell a process, and that it is able to hear it."""
        assert spec is not None, f"{run.slot} is reloaded and known to nobody"
        assert spec.reload is not None, f"{run.slot} is reloaded and nobody said how"
        assert order.signal == spec.reload.signal, f"{run.slot} is sent {order.signal} to reload"
        self._is_due(run, spec, is_known=is_known)
        self._sent[order.serial] = (run.id, now, dict(spec.loads))
        if spec.type is ServiceType.NOTIFY:
            self._says_when[run.id] = run.slot

    def may_run(
        self, order: Spawn, run: Run, spec: ServiceSpec | None, now: Nanos, *, is_known: bool
    ) -> None:
        """See that there is a reason to run the command that reloads a process."""
        assert spec is not None, f"{run.slot} is reloaded and known to nobody"
        assert spec.reload is not None, f"{run.slot} is reloaded and nobody said how"
        assert order.errand is not None
        assert order.errand.hook == spec.reload.command, f"{run.slot} is reloaded in another way"
        self._is_due(run, spec, is_known=is_known)
        self._ordered[run.slot] = (run.id, now, dict(spec.loads))

    def _is_due(self, run: Run, spec: ServiceSpec, *, is_known: bool) -> None:
        assert run.asked_at is None or not is_known, f"{run.slot} has to end and is reloaded"
        begun = self._begins.get(run.slot, {})
        heard = [*self._heard, *self._under_way.values()]
        known = [found[1:] for found in heard if found[0] == run.id]
        at, loads = known[-1] if known else self._has.get(run.id, (run.started, begun))
        asked = {**self._asked, **self._asked_now}.get(spec.name, Nanos(0))
        is_other = any(loads.get(path) != text for path, text in spec.loads.items())
        # What a daemon could not write down of a process, its successor does not know.
        is_due = is_other or asked >= at or not is_known
        assert is_due, f"{run.slot} is reloaded and has loaded all there is"

    def knows(self, run: Run, path: str) -> bool:
        """Tell whether the record ever had what a process loaded of a file.

        One that is named later, or was loaded by a process that no record tells of, counts as
        loaded as it is when it is seen first.
        """
        return path in self._begun.get(run.slot, {}) or path in self._has.get(run.id, (0, {}))[1]


def behind(rules: ReloadRules, machine: Machine, run: Run, spec: ServiceSpec) -> list[str]:
    """Give the files of which a process has not loaded what they hold now, and could have."""
    if spec.reload is None:
        return []
    failed = rules.failed.get(run.id, {})
    return [
        path
        for path in spec.reload_on
        if path in machine.contents
        and rules.knows(run, path)
        and machine.contents[path] not in (run.loaded.get(path), failed.get(path))
    ]
