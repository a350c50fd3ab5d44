"""The safety rules of hooks, stated against what really runs on the simulated machine.

A service never starts before its preStart hooks have succeeded in this very start. No hook runs
twice for one cause. Nothing of a hook is left once its slot is stopped. A hook has its time, and
whoever is in a hurry runs none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from reconciler.model.event import Decision, Signal, Spawn
from reconciler.model.observed import Exit, Role, Slot, State
from reconciler.model.spec import Hook, ServiceSpec
from reconciler.model.units import Nanos, RunId
from tests.sim.host import Host, Run
from tests.sim.wanted import Wanted

Cause = tuple[int | str, ...]


class HookRules:
    """What must hold of hooks after every step."""

    def __init__(self, host: Host, wanted: Wanted) -> None:
        self._host = host
        self._wanted = wanted
        self.is_exempt = False
        """Whether a daemon knew what it could not write down: nobody can know better then."""
        self._starts: Counter[Slot] = Counter()
        """How often a service, or a hook before it, was to be started, by slot."""
        self._over: Counter[Slot] = Counter()
        """How often a start with its hooks came to an end, as far as that is on record."""
        self._open: dict[Slot, Nanos | None] = {}
        """When the start under way began, of slots that have hooks before it."""
        self._ordered: dict[tuple[Slot, Role], Cause] = {}
        """What each hook that was last to be run was to run for."""
        self._causes: dict[RunId, Cause] = {}
        self._asked: dict[int, Slot] = {}
        """The preStart hooks that the present daemon asked for, by serial."""
        self._told_failed: dict[RunId, Slot] = {}
        self._could_not_run: dict[Slot, int] = {}
        """How many processes a slot had when a preStart hook of it last could not be started."""
        self._counted: set[RunId] = set()
        self._heard_of: set[RunId] = set()
        """The processes of services whose end was told."""

    def begin(self) -> None:
        """Begin a daemon's life: it counts its commands anew."""
        self._asked.clear()

    def could_not_run(self, serial: int) -> None:
        """Note that a command came to nothing, which may have been a preStart hook."""
        slot = self._asked.pop(serial, None)
        if slot is not None:
            self._could_not_run[slot] = len(self._mains(slot))

    def hear_of_main(self, run: RunId) -> None:
        """Note that the end of a service's process is told."""
        self._heard_of.add(run)

    def hear(self, slot: Slot, run: RunId, end: Exit) -> None:
        """Note what is told of an end: who has lost the code of a hook takes it as failed."""
        if end.code == 0:
            return
        self._told_failed[run] = slot
        if run not in self._host.runs:
            # It was cut off before it came to be.
            self._could_not_run[slot] = len(self._mains(slot))

    def has_failed(self, slot: Slot) -> bool:
        """Tell whether a start failed by its preStart hook, so that another one may follow."""
        mains = self._mains(slot)
        floor = max((run.started for run in mains), default=0)
        hooks = [run for run in self._runs(slot, Role.PRE_START) if run.started >= floor]
        is_seen = any(run.exit is not None and run.exit.code != 0 for run in hooks)
        is_told = any(run.id in self._told_failed for run in hooks)
        return is_seen or is_told or self._could_not_run.get(slot) == len(mains)

    # --- what is to be done ----------------------------------------------------------------

    def may_start(self, start: Spawn) -> None:
        """See that everything that comes before a service has succeeded in this start."""
        slot, hooks = start.slot, start.spec.hooks.pre_start
        mains = self._mains(slot)
        floor = max((run.started for run in mains), default=0)
        for place in range(len(hooks)):
            done = [
                run
                for run in self._runs(slot, Role.PRE_START)
                if run.place == place and run.started >= floor and run.is_empty
            ]
            is_good = any(run.exit is not None and run.exit.code == 0 for run in done)
            may = is_good or self.is_exempt
            assert may, f"{slot} is started before its preStart hook succeeded"
        left = [run for run in self._live(slot) if run.role is not Role.ON_FAILURE]
        assert left == [] or self.is_exempt, f"{slot} is started beside a hook of its last process"
        self._starts[slot] += 1

    def began(self, run: Run) -> Nanos:
        """Give when the start of a process began, with the first of its preStart hooks."""
        mains = self._mains(run.slot)
        floor = max((one.started for one in mains if one.started < run.started), default=Nanos(0))
        hooks = self._runs(run.slot, Role.PRE_START)
        return min([run.started, *(one.started for one in hooks if one.started >= floor)])

    def has_drained(self, run: Run) -> bool:
        """Tell whether a preStop hook ran for a process."""
        hooks = self._runs(run.slot, Role.PRE_STOP)
        return any(one.started >= run.started for one in hooks)

    def may_run(self, order: Spawn, to_end: Collection[RunId]) -> None:
        """See that a hook is run which its service has, one at a time, and not in a hurry.

        `to_end` are the runs of which it was decided that they have to end.
        """
        assert order.errand is not None
        slot, role = order.slot, order.role
        assert not self._wanted.is_hurried, f"a hook of {slot} is run in a hurry"
        if role is not Role.RELOAD:
            self._ordered[slot, role] = self._cause(order)
        live = [run for run in self._live(slot) if run.role is role]
        assert live == [] or self.is_exempt, f"the {role} hook of {slot} runs already"
        if role is Role.PRE_START:
            self._starts[slot] += 1
            self._asked[order.serial] = slot
            assert not self._wanted.is_shutting_down, f"{slot} is started in a shutdown"
            mine = [run for run in self._host.live(slot) if not run.is_by_hand]
            assert mine == [], f"the preStart hook of {slot} runs beside it"
        if role is Role.POST_STOP:
            mine = [run for run in self._host.live(slot) if not run.is_by_hand]
            assert mine == [], f"the postStop hook of {slot} runs before all is gone"
            self._is_told_the_truth(order, to_end)

    def _is_told_the_truth(self, order: Spawn, to_end: Collection[RunId]) -> None:
        """See that a hook which tidies up is told how the process before it came to its end."""
        mains = self._mains(order.slot)
        run = mains[-1] if mains else None
        if order.errand is None or run is None or run.exit is None or run.is_by_hand:
            return
        said, end = order.errand.env, run.exit
        code, signal = said.get("WEAVER_EXIT_CODE", ""), said.get("WEAVER_EXIT_SIGNAL", "")
        known = ("" if end.code is None else str(end.code), end.signal or "")
        # Of a start that came to nothing there is no end, and of some ends nobody can say how.
        may = (code, signal) in (known, ("", "")) or self.is_exempt
        assert may, f"the postStop hook of {order.slot} is told another end"
        result = said.get("WEAVER_RESULT", "")
        is_known = code != "" or signal != ""
        assert is_known or result not in ("success", "exit-code", "signal"), (
            f"the postStop hook of {order.slot} is told {result} and not how"
        )
        was_asked = run.asked_at is not None and run.asked_at <= end.at
        is_ours = was_asked or run.is_killed or run.id in to_end or not is_known
        may = result != "stopped" or is_ours or self.is_exempt
        assert may, f"the postStop hook of {order.slot} is told of a stop, and it ended by itself"

    def may_kill(self, order: Signal, now: int) -> None:
        """See that a hook which tidies up or tells of a failure has its time."""
        run = self._host.runs[order.run]
        assert order.signal == "SIGKILL", "a hook is asked to end, and not killed"
        assert order.target == run.identity or order.target.pid == 0, "a kill of another process"
        if run.role not in (Role.POST_STOP, Role.ON_FAILURE) or run.exit is not None:
            return
        hook = self._hook(self._wanted.in_force(run.slot.service), run)
        is_late = hook is None or now - run.started >= hook.timeout
        may = is_late or self._wanted.is_hurried or self.is_exempt
        assert may, f"the {run.role} hook of {run.slot} is killed before its time"

    def _hook(self, spec: ServiceSpec | None, run: Run) -> Hook | None:
        if spec is None:
            return None
        hooks = spec.hooks
        of_role = {Role.POST_STOP: hooks.post_stop, Role.ON_FAILURE: hooks.on_failure}[run.role]
        return of_role[run.place] if run.place < len(of_role) else None

    # --- what came of it -------------------------------------------------------------------

    def after(self, decision: Decision) -> None:
        """Look at what runs now, and at what is said to be stopped."""
        self._none_twice()
        for change in decision.transitions:
            is_stopped = change.before is State.STOPPING and change.after is State.STOPPED
            is_taken = any(run.is_by_hand for run in self._host.live(change.slot))
            left = self._live(change.slot) if is_stopped and not is_taken else []
            assert left == [] or self.is_exempt, f"{change.slot} is stopped, and its hook runs"

    def recorded(self, decision: Decision) -> None:
        """Note the starts that are on record as over."""
        for slot, memory in decision.remembered.slots.items():
            occasion = memory.occasion(Role.PRE_START) if memory is not None else None
            since = occasion.since if occasion is not None else None
            if self._open.get(slot) not in (None, since):
                self._over[slot] += 1
            self._open[slot] = since

    def reboot(self) -> None:
        """Begin anew: what was due before means nothing."""
        self._could_not_run.clear()
        for slot in self._open:
            self._over[slot] += 1
            self._open[slot] = None

    def _none_twice(self) -> None:
        for (slot, role), runs in self._host.machine.errands.items():
            # What a reload is for is a matter of what was loaded, see ReloadRules.
            if role is Role.RELOAD or runs[-1].id in self._counted:
                continue
            self._counted.add(runs[-1].id)
            if not (today := self._runs(slot, role)):
                continue
            *earlier, newest = today
            cause = self._ordered.get((slot, role), ())
            self._causes[newest.id] = cause
            before = [run for run in earlier if run.place == newest.place]
            is_new = not before or self._causes.get(before[-1].id) != cause
            assert is_new or self.is_exempt, f"the {role} hook of {slot} runs twice for one cause"

    def _cause(self, order: Spawn) -> Cause:
        """Give what a hook runs for, as a value for each thing that it may run for."""
        assert order.errand is not None
        slot, role, version = order.slot, order.role, order.spec.digest
        mains = len(self._mains(slot))
        if role in (Role.POST_START, Role.PRE_STOP):
            pid = order.errand.env.get("WEAVER_MAIN_PID", "")
            of_it = [at for at, run in enumerate(self._mains(slot)) if str(run.pid) == pid]
            return (of_it[-1] if of_it else mains, pid)
        if role is Role.PRE_START:
            # Another version is another start, and so is one behind a hook that failed: be it in
            # the very step that hears of it, before it is on record that the last start is over.
            failed = list(self._told_failed.values()).count(slot)
            return (mains, self._over[slot], version, failed)
        # A failure may be told of while the next process runs already, or has ended unheard of.
        ended = sum(run.id in self._heard_of for run in self._mains(slot))
        return (ended, self._starts[slot])

    def _mains(self, slot: Slot) -> list[Run]:
        machine = self._host.machine
        return [run for run in machine.of(slot) if run.identity.boot == machine.boot]

    def _runs(self, slot: Slot, role: Role) -> list[Run]:
        machine = self._host.machine
        runs = machine.errands.get((slot, role), [])
        return [run for run in runs if run.identity.boot == machine.boot]

    def _live(self, slot: Slot) -> list[Run]:
        """Give what runs of hooks in a slot, but for what not even SIGKILL ends."""
        return [
            run
            for run in self._host.machine.live_errands()
            if run.slot == slot and not (run.is_killed and run.program.unkillable)
        ]
