"""What must hold of reloads: told only when there is something to load, and never for long undone.

Stated against what processes have really loaded, and what the daemon was told and has on record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from reconciler.model.event import (
    Asked,
    Event,
    FilesChanged,
    OperationKind,
    Signal,
    SignalAnswered,
    Spawn,
)
from reconciler.model.observed import Slot
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, RunId, Serial, ServiceName
from tests.sim.machine import Machine, Run

Loads = Mapping[str, str]


class ReloadRules:
    """What each process was told to load, as far as the record knows."""

    def __init__(self) -> None:
        self._sent: dict[Serial, tuple[RunId, Nanos, Loads]] = {}
        self._heard: list[tuple[RunId, Nanos, Loads]] = []
        """Reloads that are known to have come to pass, and are not on record yet."""
        self._asked_now: dict[ServiceName, Nanos] = {}
        self._asked: dict[ServiceName, Nanos] = {}
        self._begins: dict[Slot, Loads] = {}
        """What each slot's last start was given to load."""
        self._has: dict[RunId, tuple[Nanos, Loads]] = {}

    def begin(self) -> None:
        """Begin a daemon's life: what is not on record is as if it had never been."""
        self._sent.clear()
        self._heard.clear()
        self._asked_now.clear()

    def forget(self) -> None:
        """Begin anew: the record is lost, or the host was booted."""
        self._asked.clear()
        self._has.clear()

    def before(self, events: Iterable[Event], now: Nanos) -> None:
        """Note what the engine is about to hear."""
        for event in events:
            match event:
                case SignalAnswered(serial=serial, problem=""):
                    found = self._sent.pop(serial, None)
                    self._heard += [found] if found else []
                case FilesChanged(service=name, at=at):
                    self._asked_now[name] = at
                case Asked(operation=asked) if asked.kind is OperationKind.RELOAD:
                    self._asked_now.update(dict.fromkeys(asked.services, now))
                case _:
                    pass

    def recorded(self) -> None:
        """Note that all that was heard is on record."""
        for run, at, loads in self._heard:
            self._has[run] = (at, loads)
        self._heard.clear()
        self._asked |= self._asked_now
        self._asked_now.clear()

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
        assert run.asked_at is None or not is_known, f"{run.slot} has to end and is reloaded"
        assert run.digest == spec.digest, f"{run.slot} is reloaded though it has to be replaced"
        begun = self._begins.get(run.slot, {})
        known = [found[1:] for found in self._heard if found[0] == run.id]
        at, loads = known[-1] if known else self._has.get(run.id, (run.started, begun))
        asked = {**self._asked, **self._asked_now}.get(spec.name, Nanos(0))
        is_other = any(loads.get(path) != text for path, text in spec.loads.items())
        # What a daemon could not write down of a process, its successor does not know.
        is_due = is_other or asked >= at or not is_known
        assert is_due, f"{run.slot} is reloaded and has loaded all there is"
        self._sent[order.serial] = (run.id, now, dict(spec.loads))


def behind(machine: Machine, run: Run, spec: ServiceSpec) -> list[str]:
    """Give the files of which a process has not loaded what they hold now."""
    if spec.reload is None:
        return []
    return [
        path
        for path in spec.reload_on
        if path in machine.contents and run.loaded.get(path) != machine.contents[path]
    ]
