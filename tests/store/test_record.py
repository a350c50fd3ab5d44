"""What is written comes back, numbered, bounded, and belongs to the right boot."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.adapters.sqlite import retention, schema
from reconciler.adapters.sqlite.store import SqliteStore
from reconciler.adapters.sqlite.writing import state_of
from reconciler.model.event import Decision, Probe
from reconciler.model.observed import Exit, Slot, State
from reconciler.model.overlay import Overlay
from reconciler.model.record import Memory, PruneHold, ServiceMemory, SlotMemory, Trouble
from reconciler.model.remembered import Remembered
from reconciler.model.spec import Readiness
from reconciler.model.units import Digest, Nanos, RunId, Serial, ServiceName, WallTime, seconds
from tests.store.making import (
    BOOT,
    StillClock,
    happening,
    moved,
    record,
    run,
    service,
    slot,
    spec,
    starting,
    told,
)


def rows(path: Path, question: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question, values).fetchall()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


async def open_store(path: Path, clock: StillClock) -> SqliteStore:
    store = SqliteStore(path, clock)
    await store.load(BOOT)
    return store


async def recall(path: Path, clock: StillClock, boot: str = BOOT) -> Memory:
    store = SqliteStore(path, clock)
    memory = await store.load(boot)
    await store.close()
    return memory


def test_a_new_record_is_empty_private_and_at_the_version_of_its_migrations(
    path: Path, clock: StillClock
) -> None:
    assert run(recall(path, clock)) == Memory(boot=BOOT)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert rows(path, "PRAGMA user_version") == [(schema.VERSION,)]
    assert len(schema.migrations()._migrations) == schema.VERSION  # noqa: SLF001 (no other way)


def test_a_decision_leaves_a_row_in_every_table(path: Path, clock: StillClock) -> None:
    async def scenario() -> None:
        store = await open_store(path, clock)
        await record(store, starting("web", 7, "db", "cache"))
        await store.close()

    run(scenario())
    assert rows(path, "SELECT name, state FROM services") == [("web", "starting")]
    assert rows(path, "SELECT depends_on FROM dependencies ORDER BY 1") == [("cache",), ("db",)]
    assert rows(path, "SELECT serial, kind, service, slot, because, state FROM operations") == [
        (7, "spawn", "web", 0, "not running", "issued")
    ]
    assert rows(path, "SELECT from_state, to_state, revision, actor FROM state_history") == [
        ("stopped", "starting", "3f2c91a", "uid:0")
    ]
    assert rows(path, "SELECT seq, kind, service, instance FROM events") == [
        (1, "service.starting", "web", "web-0")
    ]


def test_probes_and_looks_leave_no_trace(path: Path, clock: StillClock) -> None:
    probe = Probe(
        serial=Serial(3),
        slot=slot(),
        run=RunId("r"),
        spec=spec(),
        readiness=Readiness(),
        timeout=seconds(1),
    )

    async def scenario() -> None:
        store = await open_store(path, clock)
        assert await record(store, Decision(commands=(probe,))) == []
        await store.close()

    run(scenario())
    assert rows(path, "SELECT count(*) FROM operations") == [(0,)]


def test_memory_of_this_boot_comes_back_as_it_was(path: Path, clock: StillClock) -> None:
    hold = PruneHold(id="p1", services=(ServiceName("a"), ServiceName("b")), because="too many")
    asked = service("web", "db", restart_before=Nanos(12), restart_reason="asked")
    memory = SlotMemory(
        slot=slot(),
        restarts=3,
        last_restart=Nanos(5),
        trouble=Trouble(failures=2, retry_at=Nanos(99), gave_up=True, because="exited with 1"),
        last_exit=Exit(at=Nanos(4), signal="SIGKILL", core=True),
        ready_run=RunId("abc"),
        done=Digest("d"),
        done_at=Nanos(6),
        tried=Digest("t"),
    )
    decision = Decision(
        remembered=Remembered(
            services={ServiceName("web"): asked},
            slots={slot(): memory},
            prune=hold,
            prune_changed=True,
            removed={ServiceName("old"): Nanos(7)},
        )
    )

    async def scenario() -> Memory:
        store = await open_store(path, clock)
        await record(store, decision)
        await store.close()
        again = SqliteStore(path, clock)
        found = await again.load(BOOT)
        await record(again, told(1))
        await again.close()
        return found

    expected = Memory(
        boot=BOOT,
        services={ServiceName("web"): asked},
        slots={slot(): memory},
        prune=hold,
        removed={ServiceName("old"): Nanos(7)},
    )
    assert run(scenario()) == expected
    assert run(recall(path, clock)) == expected


def test_after_a_reboot_slots_and_asked_restarts_are_void_and_services_are_not(
    path: Path, clock: StillClock
) -> None:
    asked = service("web", restart_before=Nanos(12), restart_reason="asked")

    async def scenario() -> Memory:
        store = await open_store(path, clock)
        await record(store, starting("web"))
        await record(store, Decision(remembered=Remembered(services={ServiceName("web"): asked})))
        await store.close()
        return await recall(path, clock, "another-boot")

    memory = run(scenario())
    assert memory.slots == {}
    assert memory.services == {
        "web": replace(asked, restart_before=None, restart_reason=""),
    }


def test_what_was_removed_a_short_time_ago_grows_older_over_a_reboot_and_never_younger(
    path: Path, clock: StillClock
) -> None:
    went = {ServiceName("old"): Nanos(clock.now() - seconds(5))}

    async def scenario() -> tuple[Memory, Memory, Memory]:
        store = await open_store(path, clock)
        await record(store, Decision(remembered=Remembered(removed=went)))
        await store.close()
        clock.pass_by(20)
        same, later = await recall(path, clock), await recall(path, clock, "another-boot")
        clock.seconds_1970 -= 3600
        return same, later, await recall(path, clock, "another-boot")

    same, later, set_back = run(scenario())
    assert same.removed == went
    assert later.removed == {"old": clock.now() - seconds(25)}
    assert set_back.removed == {"old": clock.now() - seconds(5)}


def test_what_is_wanted_for_a_while_is_kept_and_after_a_reboot_ends_by_the_wall_clock(
    path: Path, clock: StillClock
) -> None:
    version = service("web").spec
    one = Overlay(
        spec=version,
        ends_at=Nanos(clock.now() + seconds(60)),
        ends=WallTime(seconds(clock.wall() + 60)),
        lasts=seconds(60),
        actor="uid:1000",
    )

    async def scenario() -> tuple[Memory, Memory, Memory]:
        store = await open_store(path, clock)
        await record(store, Decision(remembered=Remembered(overlays=(one,))))
        await store.close()
        clock.pass_by(20)
        same, later = await recall(path, clock), await recall(path, clock, "another-boot")
        clock.seconds_1970 -= 3600
        return same, later, await recall(path, clock, "another-boot")

    same, later, set_back = run(scenario())
    assert same.overlays == (one,)
    assert later.overlays == (replace(one, ends_at=Nanos(clock.now() + seconds(40))),)
    assert set_back.overlays == (replace(one, ends_at=Nanos(clock.now() + seconds(60))),)


def test_a_forgotten_service_is_gone_from_memory_and_keeps_its_history(
    path: Path, clock: StillClock
) -> None:
    gone = Decision(
        transitions=(moved(after=State.STOPPED, before=State.STOPPING),),
        remembered=Remembered(services={ServiceName("web"): None}, slots={slot(): None}),
    )

    async def scenario() -> tuple[Memory, int]:
        store = await open_store(path, clock)
        await record(store, starting("web", 1, "db"))
        await record(store, gone)
        kept = len(await store.history("web", 10))
        await store.close()
        return await recall(path, clock), kept

    memory, kept = run(scenario())
    assert (memory.services, memory.slots, kept) == ({}, {}, 2)
    assert rows(path, "SELECT count(*) FROM dependencies") == [(0,)]
    assert rows(path, "SELECT count(*) FROM slots") == [(0,)]


def test_a_service_that_returns_has_its_old_row(path: Path, clock: StillClock) -> None:
    async def scenario() -> None:
        store = await open_store(path, clock)
        await record(store, starting("web"))
        await record(store, Decision(remembered=Remembered(services={ServiceName("web"): None})))
        await record(store, starting("web", 2))
        await store.close()

    run(scenario())
    assert rows(path, "SELECT count(*), sum(forgotten_at IS NULL) FROM services") == [(1, 1)]


def test_needs_that_stay_keep_the_time_they_were_declared(path: Path, clock: StillClock) -> None:
    async def scenario() -> None:
        store = await open_store(path, clock)
        await record(store, starting("web", 1, "a", "b"))
        clock.pass_by(60)
        await record(store, starting("web", 2, "b", "c"))
        await store.close()

    run(scenario())
    start = 1_700_000_000.0
    assert rows(path, "SELECT depends_on, created_at FROM dependencies ORDER BY 1") == [
        ("b", start),
        ("c", start + 60),
    ]


def test_events_are_numbered_on_over_restarts_and_questions_choose_among_them(
    path: Path, clock: StillClock
) -> None:
    async def scenario() -> None:
        for number in range(3):
            store = await open_store(path, clock)
            await record(store, Decision(happenings=(happening(name="a"), happening(name="b"))))
            clock.pass_by(10)
            if number == 2:
                assert [event.seq for event in await store.events()] == [1, 2, 3, 4, 5, 6]
                assert [event.seq for event in await store.events(after=4)] == [5, 6]
                assert [event.seq for event in await store.events(limit=2)] == [5, 6]
                assert [event.seq for event in await store.events(service="b")] == [2, 4, 6]
                late = await store.events(since=1_700_000_015.0)
                assert [event.seq for event in late] == [5, 6]
                assert await store.events(limit=-1) == []
            await store.close()

    run(scenario())


def test_an_event_says_who_asked_and_under_which_revision(path: Path, clock: StillClock) -> None:
    own = replace(happening(), actor="uid:1000", data={"pid": 4711, "cause": "crash", "x": None})

    async def scenario() -> None:
        store = await open_store(path, clock)
        (event,) = await record(store, Decision(happenings=(own,)))
        assert [event] == await store.events()
        assert (event.actor, event.revision) == ("uid:1000", "3f2c91a")
        assert event.data == {"pid": 4711, "cause": "crash", "x": None}
        await store.close()

    run(scenario())


def test_a_clock_that_is_set_back_does_not_disorder_events(path: Path, clock: StillClock) -> None:
    """L9."""

    async def scenario() -> list[str]:
        store = await open_store(path, clock)
        for number in range(4):
            await record(store, told(number))
            clock.seconds_1970 -= 3600
        found = await store.events()
        await store.close()
        return [event.reason for event in found]

    assert run(scenario()) == ["0", "1", "2", "3"]


def test_commands_are_answered_by_their_serial_of_this_life(path: Path, clock: StillClock) -> None:
    async def scenario() -> None:
        for _ in range(2):
            store = await open_store(path, clock)
            await record(store, starting("web", 1))
            await record(store, starting("db", 2))
            await store.answered([(1, "done"), (2, "cannot run db: no such file"), (99, "done")])
            await store.answered([])
            await store.close()

    run(scenario())
    found = rows(path, "SELECT life, serial, state, answer FROM operations ORDER BY id")
    assert found == [
        (1, 1, "done", "done"),
        (1, 2, "failed", "cannot run db: no such file"),
        (2, 1, "done", "done"),
        (2, 2, "failed", "cannot run db: no such file"),
    ]


def test_what_a_dead_daemon_left_open_is_closed_by_the_next_one(
    path: Path, clock: StillClock
) -> None:
    async def scenario() -> None:
        store = await open_store(path, clock)
        await record(store, starting("web", 1))
        await store.close()
        store = await open_store(path, clock)
        await record(store, told(1))
        await store.close()

    run(scenario())
    assert rows(path, "SELECT state, answer FROM operations") == [
        ("unknown", "the daemon ended before the answer")
    ]


def test_history_is_the_newest_first(path: Path, clock: StillClock) -> None:
    async def scenario() -> list[str]:
        store = await open_store(path, clock)
        for after in (State.STARTING, State.RUNNING, State.CRASHED):
            await record(store, Decision(transitions=(moved(after=after),)))
        found = await store.history("web", 2)
        assert await store.history("nobody", 2) == []
        await store.close()
        return [change.after for change in found]

    assert run(scenario()) == ["crashed", "running"]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([], "stopped"),
        ([State.RUNNING, State.RUNNING], "running"),
        ([State.RUNNING, State.CRASHED], "degraded"),
        ([State.RUNNING, State.STARTING], "degraded"),
        ([State.STARTING, State.CRASHED], "crashed"),
        ([State.STOPPING, State.UNKNOWN], "unknown"),
        ([State.STOPPED, State.STOPPING], "stopping"),
    ],
)
def test_a_services_state_is_that_of_its_slots(states: list[State], expected: str) -> None:
    assert state_of(states) == expected


def test_retention_keeps_the_tables_small(
    path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S7."""
    monkeypatch.setattr(retention, "EVENTS_KEPT", 100)
    monkeypatch.setattr(retention, "OPERATIONS_KEPT", 50)
    monkeypatch.setattr(retention, "HISTORY_KEPT", 20)
    monkeypatch.setattr(retention, "FORGOTTEN_KEPT", 3)

    async def scenario() -> None:
        store = await open_store(path, clock)
        await record(store, Decision(transitions=(moved("quiet"),)))
        for number in range(1000):
            await record(store, starting("loud", number))
            if number % 50 == 0:
                name = ServiceName(f"past-{number}")
                await record(store, starting(name, 10_000 + number))
                await record(store, Decision(remembered=Remembered(services={name: None})))
        await store.close()

    run(scenario())
    assert rows(path, "SELECT max(seq) FROM events") == [(1020,)]
    assert rows(path, "SELECT count(*) FROM events")[0][0] <= 100 + 500
    assert rows(path, "SELECT count(*) FROM operations")[0][0] <= 50 + 500
    counted = dict(
        rows(
            path,
            "SELECT s.name, count(*) FROM state_history h JOIN services s ON s.id = h.service_id"
            " GROUP BY 1",
        )
    )
    assert counted["quiet"] == 1
    assert counted["loud"] <= 20 + 500
    assert len([name for name in counted if name.startswith("past-")]) <= 3 + 10


def test_a_row_that_cannot_be_read_is_left_out_and_said(path: Path, clock: StillClock) -> None:
    async def fill() -> None:
        store = await open_store(path, clock)
        for number, name in enumerate(("a", "b", "c")):
            await record(store, starting(name, number))
        await store.close()

    run(fill())
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE services SET config = '{\"of\": \"tomorrow\"}' WHERE name = 'a'")
        connection.execute("UPDATE slots SET memory = 'x' WHERE service_id = 2")
        connection.execute("UPDATE events SET data = '[' WHERE seq = 3")
        connection.execute("INSERT INTO meta VALUES ('prune', '{')")
        connection.execute("INSERT INTO meta VALUES ('overlays', '{')")
        connection.execute("INSERT INTO meta VALUES ('removed', '{')")
        connection.commit()

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        memory = await store.load(BOOT)
        assert set(memory.services) == {"b", "c"}
        assert set(memory.slots) == {slot("a"), slot("c")}
        assert memory.prune is None
        assert memory.overlays == ()
        assert memory.removed == {}
        assert len(await store.events()) == 3
        notes = [event.reason for event in await record(store, Decision())]
        assert [note.split(":")[0] for note in notes] == [
            "cannot read what was remembered of a",
            "cannot read what was remembered of b-0",
            "cannot read the removal that was held",
            "cannot read what was wanted for a while",
            "cannot read what was removed a short time ago",
        ]
        await store.close()

    run(scenario())


names = st.text("abc.-0", min_size=1, max_size=5).map(ServiceName)
texts = st.text(max_size=20)
needs = st.lists(names, max_size=3, unique=True)
nanos = st.none() | st.integers(0, 2**62).map(Nanos)


@st.composite
def slot_memories(draw: st.DrawFn) -> SlotMemory:
    code = draw(st.none() | st.integers(0, 255))
    end = Exit(at=Nanos(draw(st.integers(0, 2**62))), code=code, unknown=code is None)
    return SlotMemory(
        slot=slot(draw(names), draw(st.integers(0, 3))),
        restarts=draw(st.integers(0, 2**31)),
        last_restart=draw(nanos),
        trouble=Trouble(
            failures=draw(st.integers(0, 99)), retry_at=draw(nanos), because=draw(texts)
        ),
        last_exit=draw(st.none() | st.just(end)),
        ready_run=draw(st.none() | texts.map(RunId)),
    )


@st.composite
def remembered(draw: st.DrawFn) -> Remembered:
    slots = draw(st.lists(slot_memories(), max_size=4))
    kept = {memory.slot: draw(st.sampled_from([memory, None])) for memory in slots}
    services = {
        name: draw(st.sampled_from([None, service(name, *draw(needs))]))
        for name in draw(st.lists(names, max_size=4, unique=True))
    }
    return Remembered(services=services, slots=kept, prune_changed=draw(st.booleans()))


@settings(max_examples=25)
@given(steps=st.lists(remembered(), max_size=6), every=st.integers(1, 3))
def test_whatever_is_remembered_is_what_the_next_daemon_loads(
    tmp_path_factory: pytest.TempPathFactory, steps: list[Remembered], every: int
) -> None:
    path = tmp_path_factory.mktemp("record") / "state.db"
    clock = StillClock()
    expected_services: dict[ServiceName, ServiceMemory | None] = {}
    expected_slots: dict[Slot, SlotMemory | None] = {}
    for step in steps:
        expected_slots.update(step.slots)
        expected_services.update(step.services)
        for name, kept in step.services.items():
            if kept is None:
                for key in [key for key in expected_slots if key.service == name]:
                    expected_slots[key] = None

    async def scenario() -> Memory:
        store = await open_store(path, clock)
        for number, step in enumerate(steps):
            await record(store, Decision(remembered=step))
            if number % every == 0:
                await store.close()
                store = await open_store(path, clock)
        await store.close()
        return await recall(path, clock)

    memory = run(scenario())
    assert memory.services == {k: v for k, v in expected_services.items() if v is not None}
    assert memory.slots == {k: v for k, v in expected_slots.items() if v is not None}


def test_changes_are_kept_in_order_until_they_are_let_go(path: Path, clock: StillClock) -> None:
    async def live() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        assert await store.kept() == []
        for change in ("bb", "aa", "cc"):
            await store.keep(change, f"text of {change}")
        await store.let_go(["aa", "zz"])
        await store.close()
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        assert await store.kept() == [("bb", "text of bb"), ("cc", "text of cc")]
        await store.close()

    asyncio.run(live())
