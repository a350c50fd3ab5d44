"""When slots are checked, what is told of it, and that nobody waits for one that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from reconciler.core.rhythm import share
from reconciler.model.desired import Desired
from reconciler.model.diagnostic import Source
from reconciler.model.event import Event, HealthTold
from reconciler.model.health import (
    CheckFault,
    CheckResult,
    CheckType,
    CommandCheck,
    HealthCheck,
    TcpCheck,
    Threshold,
    Verdict,
)
from reconciler.model.observed import Exit, Process, ProcessId, Slot, State
from reconciler.model.plan import Situation
from reconciler.model.record import Illness, ServiceMemory, SlotMemory, SlotRecord
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import (
    SECOND,
    Digest,
    Nanos,
    RunId,
    ServiceName,
    milliseconds,
    minutes,
    seconds,
)
from reconciler.ports import Check
from reconciler.runtime import checks as module
from reconciler.runtime.checked import HISTORY_LIMIT
from reconciler.runtime.checking import Checking
from reconciler.runtime.checks import Checks
from tests.waiting import until_async

TCP = HealthCheck(type=CheckType.TCP, tcp=TcpCheck(port=80))
QUICK = milliseconds(2)
QUICKLY = replace(TCP, interval=milliseconds(20), start_interval=milliseconds(10))


@dataclass
class Stage:
    """A clock that goes when it is told to, and a checker whose answers come when they are due."""

    at: Nanos = Nanos(1000 * SECOND)
    took: dict[str, Nanos] = field(default_factory=dict)
    """By service, else `QUICK`."""
    failing: dict[str, CheckFault] = field(default_factory=dict)
    asked: list[tuple[Nanos, Check]] = field(default_factory=list)
    told: list[HealthTold] = field(default_factory=list)
    open: dict[int, tuple[Nanos, Check, Callable[[CheckResult], None]]] = field(
        default_factory=dict
    )
    most_open: int = 0
    given_up: int = 0

    def __post_init__(self) -> None:
        self.checks = Checks(self, self, self.take)

    # --- the ports -----------------------------------------------------------------------

    def now(self) -> Nanos:
        return self.at

    def wall(self) -> float:
        return 0.0

    def boot(self) -> str:
        return "boot"

    def begin(self, check: Check, tell: Callable[[CheckResult], None]) -> Callable[[], None]:
        took = self.took.get(check.slot.service, QUICK)
        number = len(self.asked)
        self.asked.append((self.at, check))
        self.open[number] = (Nanos(self.at + took), check, tell)
        self.most_open = max(self.most_open, len(self.open))

        def give_up() -> None:
            del self.open[number]
            self.given_up += 1

        return give_up

    async def close(self) -> None:
        assert not self.open

    def take(self, event: Event) -> None:
        assert isinstance(event, HealthTold)
        self.told.append(event)

    # --- what a test does ----------------------------------------------------------------

    def survey(self, records: Iterable[tuple[SlotRecord, ServiceSpec]]) -> None:
        self.checks.survey(situation(records))

    def go(self, span: Nanos) -> None:
        """Let time pass, and everything happen at its time."""
        end = Nanos(self.at + span)
        while True:
            due = self.checks.due
            answer = min(self.open, key=lambda number: self.open[number][0], default=None)
            at = self.open[answer][0] if answer is not None else end
            if due is not None and due < min(at, end):
                self.at = max(self.at, due)
                self.checks.begin_due()
            elif answer is not None and at <= end:
                self.at = max(self.at, at)
                self.answer(answer)
            else:
                self.at = end
                return

    def answer(self, number: int) -> None:
        at, check, tell = self.open.pop(number)
        fault = self.failing.get(check.slot.service)
        took = self.took.get(check.slot.service, QUICK)
        tell(
            CheckResult(
                slot=check.slot,
                run=check.run,
                type=check.health.type,
                ok=fault is None,
                at=at,
                took=took,
                detail="no answer" if fault else "fine",
                fault=fault,
            )
        )

    def times(self, name: str) -> list[float]:
        """Give when a service was checked, in seconds from the beginning."""
        return [(at - 1000 * SECOND) / SECOND for at, c in self.asked if c.slot.service == name]

    def verdicts(self, name: str = "web") -> list[Verdict]:
        return [told.verdict for told in self.told if told.slot.service == name]

    def latest(self) -> float:
        """Give by how much the latest check of all was late, in seconds."""
        histories = (shown.history for shown in self.checks.charts().slots.values())
        return max(one.late for history in histories for one in history) / SECOND


def slot(name: str, index: int = 0) -> Slot:
    return Slot(service=ServiceName(name), index=index)


def up(
    name: str = "web",
    health: HealthCheck | None = TCP,
    *,
    run: str = "r1",
    state: State = State.RUNNING,
    started: Nanos = Nanos(1000 * SECOND),
) -> tuple[SlotRecord, ServiceSpec]:
    """Give a slot that runs, and its service."""
    process = Process(
        slot=slot(name),
        id=ProcessId(boot="boot", pid=1, born=1),
        run=RunId(run),
        digest=Digest("d"),
        started=started,
    )
    record = SlotRecord(memory=SlotMemory(slot=slot(name)), state=state, process=process)
    return record, ServiceSpec(name=ServiceName(name), digest=Digest("d"), health=health)


def situation(records: Iterable[tuple[SlotRecord, ServiceSpec]]) -> Situation:
    services, slots = {}, {}
    for record, spec in records:
        services[spec.name] = ServiceMemory(spec=spec, source=Source(file="x.yaml"))
        slots[spec.name] = {record.memory.slot.index: record}
    return Situation(now=Nanos(0), desired=Desired(), services=services, slots=slots)


# --- when ----------------------------------------------------------------------------------


def test_a_slot_is_checked_soon_after_its_start_and_then_at_its_own_times() -> None:
    stage = Stage()
    stage.survey([up()])
    stage.go(seconds(60))
    times = stage.times("web")
    assert 0 <= times[0] < 1
    assert all(0 <= 10 * share(slot("web")) - at % 10 < 0.1 for at in times[1:])
    assert [round(b - a, 6) for a, b in pairwise(times[1:])] == [10.0] * 4


def test_a_thousand_checks_do_not_come_together() -> None:
    stage = Stage()
    stage.survey([up(f"s{number}") for number in range(1000)])
    stage.go(seconds(40))
    at_rest = [at for at, _ in stage.asked if at >= seconds(1020)]
    each_100_ms = [sum(at // milliseconds(100) == t for at in at_rest) for t in range(10200, 10400)]
    assert len(at_rest) == 2000
    assert max(each_100_ms) <= 25
    assert stage.latest() == 0


def test_all_that_ran_before_the_daemon_are_checked_over_ten_seconds() -> None:
    stage = Stage()
    old = Nanos(900 * SECOND)
    stage.survey([up(f"s{number}", started=old) for number in range(200)])
    stage.go(seconds(10))
    firsts = sorted(stage.times(f"s{number}")[0] for number in range(200))
    assert firsts[-1] - firsts[0] > 8
    assert all(late - early < 1 for early, late in pairwise(firsts))


def test_it_is_asked_more_often_while_it_starts_until_it_has_passed_once() -> None:
    stage = Stage(failing={"web": CheckFault.REFUSED})
    stage.survey([up(health=replace(TCP, start_period=seconds(30)))])
    stage.go(seconds(5))
    assert len(stage.times("web")) == 5
    assert stage.verdicts() == []
    stage.failing.clear()
    stage.go(seconds(26))
    assert stage.verdicts() == [Verdict.HEALTHY]
    assert len(stage.times("web")) in (8, 9)


def test_no_two_checks_of_a_slot_overlap() -> None:
    stage = Stage(took={"web": seconds(25)})
    stage.survey([up()])
    stage.go(seconds(100))
    assert stage.most_open == 1
    times = stage.times("web")
    assert all(b - a >= 25 for a, b in pairwise(times))
    assert len(times) == 4


def test_what_was_due_while_the_host_slept_does_not_come_together() -> None:
    stage = Stage()
    stage.survey([up(f"s{number}") for number in range(100)])
    stage.go(seconds(30))
    before = len(stage.asked)
    stage.at = Nanos(stage.at + minutes(60))
    stage.checks.begin_due()
    assert len(stage.asked) - before < 10
    stage.go(seconds(11))
    assert {check.slot for _, check in stage.asked[before:]} == {slot(f"s{n}") for n in range(100)}
    assert stage.latest() == 0


# --- which -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.STARTING, State.STOPPING, State.CRASHED, State.UNKNOWN])
def test_only_a_slot_that_is_up_is_taken_up(state: State) -> None:
    stage = Stage()
    stage.survey([up(state=state)])
    assert stage.checks.due is None


def test_checks_end_with_the_process_and_what_is_under_way_is_given_up() -> None:
    stage = Stage(took={"web": seconds(5)})
    stage.survey([up()])
    stage.go(seconds(2))
    record, spec = up()
    assert record.process is not None
    ended = replace(record, process=replace(record.process, exit=Exit(at=stage.at, code=1)))
    stage.survey([(ended, spec)])
    assert (stage.given_up, stage.checks.due, dict(stage.checks.charts().slots)) == (1, None, {})
    stage.go(seconds(60))
    assert stage.told == []


def test_a_host_out_of_sight_for_a_moment_is_no_new_beginning() -> None:
    stage = Stage()
    stage.survey([up()])
    stage.go(seconds(2))
    stage.survey([up(state=State.UNKNOWN)])
    assert len(stage.checks.charts().slots[slot("web")].history) == 1


def test_h14_a_new_run_begins_anew() -> None:
    stage = Stage()
    stage.survey([up()])
    stage.go(seconds(2))
    stage.survey([up(run="r2")])
    shown = stage.checks.charts().slots[slot("web")]
    assert (shown.run, shown.verdict, shown.history) == ("r2", Verdict.UNKNOWN, ())
    stage.go(seconds(2))
    assert [told.run for told in stage.told] == ["r1", "r2"]


# --- what is told ----------------------------------------------------------------------------


def test_only_another_verdict_is_told() -> None:
    stage = Stage()
    stage.survey([up()])
    stage.go(minutes(2))
    assert stage.verdicts() == [Verdict.HEALTHY]
    stage.failing["web"] = CheckFault.TIMEOUT
    stage.go(minutes(2))
    assert stage.verdicts() == [Verdict.HEALTHY, Verdict.FAILING, Verdict.DEGRADED]
    assert stage.told[-1].reason == "tcp check: no answer, 3 in a row"
    stage.failing.clear()
    stage.go(minutes(1))
    assert stage.verdicts()[-1] is Verdict.HEALTHY
    assert len(stage.told) == 4


def test_what_the_engine_has_otherwise_is_told_again_but_not_all_the_time() -> None:
    stage = Stage()
    record, spec = up()
    stage.survey([(record, spec)])
    stage.go(seconds(2))
    for _ in range(10):
        stage.survey([(record, spec)])
    assert stage.verdicts() == [Verdict.HEALTHY]
    stage.go(seconds(6))
    stage.survey([(record, spec)])
    stage.survey([(record, spec)])
    assert stage.verdicts() == [Verdict.HEALTHY] * 2
    stage.go(seconds(6))
    stage.survey([(replace(record, verdict=Verdict.HEALTHY), spec)])
    assert len(stage.told) == 2


def test_what_the_engine_forgot_is_told_with_the_next_check() -> None:
    stage = Stage()
    stage.survey([up()])
    stage.go(seconds(2))
    stage.survey([up()])
    stage.go(seconds(16))
    assert stage.verdicts() == [Verdict.HEALTHY] * 2


def test_an_answer_to_a_check_that_was_given_up_counts_for_nothing() -> None:
    stage = Stage(took={"web": seconds(2)}, failing={"web": CheckFault.REFUSED})
    stage.survey([up()])
    stage.go(seconds(1))
    late = dict(stage.open)
    stage.survey([up(health=replace(TCP, tcp=TcpCheck(port=81)))])
    stage.open.update(late)
    stage.go(seconds(4))
    assert stage.checks.charts().slots[slot("web")].failures == 1


def test_a_slot_that_a_former_daemon_knew_as_degraded_has_to_pass_as_one_that_is() -> None:
    stage = Stage(failing={"web": CheckFault.REFUSED})
    record, spec = up(health=replace(TCP, success_threshold=2), started=Nanos(900 * SECOND))
    ill = Illness(run=RunId("r1"), since=Nanos(0), because="it hangs")
    record = replace(record, memory=replace(record.memory, ill=ill), verdict=Verdict.DEGRADED)
    stage.survey([(record, spec)])
    assert stage.checks.charts().slots[slot("web")].verdict is Verdict.DEGRADED
    stage.go(seconds(11))
    assert Verdict.FAILING not in stage.verdicts()
    stage.failing.clear()
    stage.go(seconds(10))
    assert Verdict.HEALTHY not in stage.verdicts()
    stage.go(seconds(10))
    assert stage.verdicts()[-1] is Verdict.HEALTHY


def test_new_settings_count_at_once_without_a_new_process() -> None:
    stage = Stage(failing={"web": CheckFault.REFUSED})
    stage.survey([up(health=replace(TCP, interval=minutes(60)))])
    stage.go(seconds(2))
    assert stage.verdicts() == [Verdict.FAILING]
    eager = replace(TCP, interval=seconds(2), threshold=Threshold(consecutive_failures=2))
    stage.survey([up(health=eager)])
    stage.go(seconds(2))
    assert stage.verdicts() == [Verdict.FAILING, Verdict.DEGRADED]


def test_failures_at_another_target_do_not_count() -> None:
    stage = Stage(failing={"web": CheckFault.REFUSED})
    stage.survey([up()])
    stage.go(seconds(16))
    assert stage.checks.charts().slots[slot("web")].failures == 2
    stage.survey([up(health=replace(TCP, tcp=TcpCheck(port=81)))])
    stage.go(seconds(2))
    assert stage.checks.charts().slots[slot("web")].failures == 1


def test_a_service_that_is_checked_no_more_is_let_go() -> None:
    stage = Stage(took={"web": seconds(9)})
    stage.survey([up()])
    stage.go(seconds(2))
    stage.survey([up(health=None)])
    assert (stage.given_up, stage.checks.due) == (1, None)


def test_the_history_of_a_slot_is_short() -> None:
    stage = Stage()
    stage.survey([up()])
    stage.go(minutes(10))
    history = stage.checks.charts().slots[slot("web")].history
    assert len(history) == HISTORY_LIMIT
    assert history[0].at > history[-1].at


# --- nobody waits for one that hangs ---------------------------------------------------------


def test_fifty_good_ones_are_in_time_next_to_one_that_hangs() -> None:
    stage = Stage(took={"bad": seconds(3)}, failing={"bad": CheckFault.TIMEOUT})
    stage.survey([up("bad"), *(up(f"s{number}") for number in range(50))])
    stage.go(minutes(2))
    assert stage.latest() == 0
    assert stage.verdicts("bad")[-1] is Verdict.DEGRADED


def test_those_that_hang_leave_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 8)
    bad = {f"bad{number}": seconds(9) for number in range(40)}
    stage = Stage(took=bad, failing=dict.fromkeys(bad, CheckFault.TIMEOUT))
    stage.survey([up(f"s{number}") for number in range(50)])
    stage.go(seconds(30))
    good = [up(f"s{number}") for number in range(50)]
    stage.survey([*good, *map(up, bad)])
    stage.go(minutes(2))
    shown = stage.checks.charts().slots
    lateness = [c.late for n in range(50) for c in shown[slot(f"s{n}")].history]
    assert max(lateness) < SECOND
    assert stage.most_open <= 8
    assert all(stage.times(name) for name in bad)
    stage.survey([*good, *map(up, bad), up("new")])
    stage.go(seconds(20))
    assert shown_late(stage, "new") < SECOND


def shown_late(stage: Stage, name: str) -> int:
    return max(checked.late for checked in stage.checks.charts().slots[slot(name)].history)


def test_programs_wait_for_one_another_and_not_with_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PROGRAMS", 2)
    command = HealthCheck(type=CheckType.COMMAND, command=CommandCheck(cmd=("true",)))
    slow = {f"c{number}": seconds(1) for number in range(5)}
    stage = Stage(took=slow)
    stage.survey([*(up(name, command) for name in slow), up("web")])
    stage.go(seconds(10))
    assert stage.most_open <= 3
    assert all(stage.times(name) for name in slow)
    shown = stage.checks.charts()
    assert all(checked.late == 0 for checked in shown.slots[slot("web")].history)
    assert sum(shown.tallies.lateness.classes) == len(stage.asked)


def test_one_that_waits_for_room_and_ends_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 1)
    stage = Stage(took={"a": seconds(20), "b": seconds(20)})
    stage.survey([up("a"), up("b")])
    stage.go(seconds(2))
    (first,) = [check.slot.service for _, check in stage.asked]
    stage.survey([up(first)])
    stage.go(seconds(19))
    assert {check.slot.service for _, check in stage.asked} == {first}


# --- the loop --------------------------------------------------------------------------------


def test_the_loop_checks_what_is_due_and_looks_again_whenever_something_turns() -> None:
    asyncio.run(_turning())


async def _turning() -> None:
    clock, stage = _LoopClock(), Stage()
    stage.checks = Checks(stage, clock, stage.take)
    records = [up("web", QUICKLY, started=clock.now())]
    turned = asyncio.Event()

    async def turn() -> None:
        await turned.wait()
        turned.clear()

    checking = Checking(stage.checks, clock).run(turn, lambda: situation(records))
    running = asyncio.create_task(checking)
    try:
        await until_async(lambda: stage.asked)
        stage.answer(0)
        await until_async(lambda: len(stage.asked) == 2)
        records.append(up("db", QUICKLY, started=clock.now()))
        turned.set()
        await until_async(lambda: stage.times("db"))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert not stage.open


def test_a_defect_of_ours_ends_no_check_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(_failing())
    assert len(caplog.records) == 1


async def _failing() -> None:
    clock, stage = _LoopClock(), Stage()
    stage.checks = Checks(stage, clock, stage.take)
    present = situation([up("web", QUICKLY, started=clock.now())])
    seen: list[Situation] = [present]
    checking = Checking(stage.checks, clock)

    async def turn() -> None:
        await asyncio.sleep(0)

    running = asyncio.create_task(checking.run(turn, lambda: seen[0]))
    try:
        await until_async(lambda: stage.asked)
        seen.clear()
        await until_async(lambda: checking.problem)
        stage.answer(0)
        await until_async(lambda: len(stage.asked) == 2)
        seen.append(present)
        await until_async(lambda: not checking.problem)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


class _LoopClock:
    def now(self) -> Nanos:
        return Nanos(round(asyncio.get_running_loop().time() * SECOND))

    def wall(self) -> float:
        return 0.0

    def boot(self) -> str:
        return "boot"
