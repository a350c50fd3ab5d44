"""What disks, other programs and sudden death do to the record; the names are the catalogue's."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.adapters.sqlite import backlog, opening
from reconciler.adapters.sqlite.store import SqliteStore
from reconciler.model.event import Decision
from reconciler.model.record import Memory
from reconciler.model.units import ServiceName
from reconciler.ports import StoreError
from tests.small_disk import fill, small_disk
from tests.store.making import BOOT, StillClock, record, run, slot, starting, told

REPOSITORY = Path(__file__).parents[2]
NOTHING = Decision()
WEB = ServiceName("web")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def path(tmp_path: Path, clock: StillClock) -> Path:
    """Give a record that holds one service and three events."""
    path = tmp_path / "state.db"

    async def begin() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        await record(store, starting("web"))
        await record(store, told(2))
        await record(store, told(3))
        await store.close()

    run(begin())
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of a megabyte."""
    with small_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def output_of(*command: str) -> str:
    """Run a command that inherits every descriptor that is not close-on-exec."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, close_fds=False)
    return done.stdout


def is_sound(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        seqs = [seq for (seq,) in connection.execute("SELECT seq FROM events ORDER BY seq")]
        assert seqs == list(range(1, len(seqs) + 1)), "numbers are missing or twice there"
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))


def overwrite(path: Path, data: bytes, at: int = 0) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 999")


def drop_a_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE events")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "S1 header overwritten": (lambda path: overwrite(path, b"\xff" * 100), "damaged"),
    "S2 corrupt page": (lambda path: overwrite(path, b"\xff" * 4096, 4096), "damaged"),
    "S8 truncated": (lambda path: os.truncate(path, 5000), "damaged"),
    "S8 garbage": (lambda path: path.write_bytes(os.urandom(9000)), "damaged"),
    "S8 of a future version": (make_newer, "newer"),
    "a table is missing": (drop_a_table, "damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_database_that_cannot_be_used_is_moved_aside_and_said(
    name: str, path: Path, clock: StillClock
) -> None:
    damage, label = DAMAGES[name]
    damage(path)
    damaged = path.read_bytes()

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        assert await store.load(BOOT) == Memory(boot=BOOT)
        (event, note) = await record(store, told(1))
        assert note.kind == "record.trouble"
        assert "state.db could not be used" in note.reason
        assert store.trouble == ""
        assert (event.seq, note.seq) == (1, 2)
        assert "kept aside" in store.facts()
        await store.close()

    run(scenario())
    (aside,) = path.parent.glob(f"state.db.{label}-20231114T221320Z")
    assert aside.read_bytes() == damaged
    assert is_sound(path)


def test_an_empty_file_is_a_new_record(path: Path, clock: StillClock) -> None:
    """S8."""
    os.truncate(path, 0)

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        assert await store.load(BOOT) == Memory(boot=BOOT)
        await record(store, told(1))
        await store.close()

    run(scenario())
    assert is_sound(path)


def test_only_a_few_damaged_databases_are_kept(path: Path, clock: StillClock) -> None:
    for _ in range(opening.ASIDE_KEPT + 2):
        path.write_bytes(b"garbage" * 1000)
        run(recall(path, clock))
    assert len(list(path.parent.glob("state.db.damaged-*"))) == opening.ASIDE_KEPT


def test_damage_under_a_running_daemon_costs_no_memory_and_no_number(
    path: Path, clock: StillClock
) -> None:
    """S2, found at the first error instead of at the start."""

    async def scenario() -> Memory:
        store = SqliteStore(path, clock)
        before = await store.load(BOOT)
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE state_history")
        (event, note) = await record(store, starting("db", 9))
        assert "was damaged (no such table: state_history)" in note.reason
        assert (event.seq, note.seq) == (4, 5)
        await store.close()
        return before

    before = run(scenario())
    after = run(recall(path, clock))
    assert after.services[WEB] == before.services[WEB]
    assert after.slots[slot("web")] == before.slots[slot("web")]
    assert set(after.services) == {"web", "db"}


def test_a_table_that_cannot_be_read_is_found_by_a_question_too(
    path: Path, clock: StillClock
) -> None:
    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        with closing(sqlite3.connect(path)) as other:
            other.execute("DROP TABLE events")
        assert await store.events() == []
        assert "kept aside" in store.facts()
        await store.close()

    run(scenario())


async def recall(path: Path, clock: StillClock) -> Memory:
    store = SqliteStore(path, clock)
    memory = await store.load(BOOT)
    await store.close()
    return memory


def test_while_another_program_has_the_lock_nothing_waits_long_and_reads_answer(
    path: Path, clock: StillClock
) -> None:
    """S3."""

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            began = time.monotonic()
            for number in range(20):
                with pytest.raises(StoreError, match="database is locked"):
                    await record(store, told(number))
            await store.answered([(1, "done")])
            # It waited once, and not for each of the twenty.
            assert time.monotonic() - began < 10 * opening.LOCK_WAIT_S
            assert "cannot write state.db: database is locked" in store.trouble
            assert len(await store.events()) == 3
            other.execute("ROLLBACK")
        late = await record(store, NOTHING)
        assert late.pop().kind == "record.trouble"
        assert [event.reason for event in late] == [str(number) for number in range(20)]
        assert [event.seq for event in late] == list(range(4, 24))
        assert store.trouble == ""
        await store.close()

    run(scenario())


def test_a_lock_at_the_start_hides_nothing_that_is_remembered(
    path: Path, clock: StillClock
) -> None:
    async def scenario() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            store = SqliteStore(path, clock)
            assert set((await store.load(BOOT)).services) == {"web"}
            other.execute("ROLLBACK")
        await record(store, told(1))
        await store.close()

    run(scenario())


def test_what_waits_is_bounded_and_what_was_dropped_is_said(
    path: Path, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3: the queue."""
    monkeypatch.setattr(backlog, "ROWS_KEPT", 10)

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for number in range(30):
                with pytest.raises(StoreError):
                    await record(store, told(number))
            other.execute("ROLLBACK")
        late = await record(store, NOTHING)
        assert [event.reason for event in late][:10] == [str(number) for number in range(20, 30)]
        assert "rows were dropped" in late[-1].reason
        await store.close()

    run(scenario())


@pytest.mark.parametrize("victim", ["state.db-wal", "state.db-shm"])
def test_a_log_that_was_deleted_while_nobody_ran_loses_no_more_than_itself(
    victim: str, path: Path, clock: StillClock
) -> None:
    """S4: SIGKILL leaves a log; somebody deletes it."""
    child = start_commit_loop(path)
    read_numbers(child, 20)
    kill(child)
    path.with_name(victim).unlink()

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        memory = await store.load(BOOT)
        assert "web" in memory.services
        await record(store, told(1))
        await store.close()

    run(scenario())
    assert is_sound(path)


@pytest.mark.parametrize("files", [("state.db-wal",), ("state.db",), ("state.db", "state.db-wal")])
def test_files_deleted_under_a_running_daemon_are_made_again_with_all_that_is_remembered(
    files: tuple[str, ...], path: Path, clock: StillClock
) -> None:
    """S4 and R15."""

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        await record(store, starting("db", 5))
        for name in files:
            path.with_name(name).unlink()
        events = await record(store, told(1))
        assert "removed or replaced" in events[1].reason
        assert [event.seq for event in events] == [5, 6]
        await store.close()

    run(scenario())
    assert set(run(recall(path, clock)).services) == {"db", "web"}


def test_a_state_folder_that_vanished_is_made_again_private(
    tmp_path: Path, clock: StillClock
) -> None:
    """R15: `git clean -fdx`."""
    path = tmp_path / "state" / "state.db"

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        await record(store, starting("web"))
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
        await record(store, told(1))
        await store.close()

    run(scenario())
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert set(run(recall(path, clock)).services) == {"web"}


async def record_until_refused(store: SqliteStore) -> int:
    """Record events until one is refused; give the number of those that were not."""
    for number in range(2000):
        try:
            await record(store, told(number))
        except StoreError:
            return number
    pytest.fail("the disk was never full")


@pytest.mark.real
def test_a_full_disk_loses_nothing_and_heals_by_itself(disk: Path, clock: StillClock) -> None:
    """R1."""
    path = disk / "state.db"

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        await record(store, starting("web"))
        filler = fill(disk)
        written = await record_until_refused(store)
        assert "database or disk is full" in store.trouble
        with pytest.raises(StoreError, match="full"):
            await record(store, starting("db", 2))
        assert len(await store.events(limit=5000)) == written + 1
        filler.unlink()
        late = await record(store, NOTHING)
        assert [event.kind for event in late] == [
            "service.starting",
            "service.starting",
            "record.trouble",
        ]
        assert store.trouble == ""
        await store.close()

    run(scenario())
    assert is_sound(path)
    assert set(run(recall(path, clock)).services) == {"web", "db"}


@pytest.mark.real
def test_a_start_on_a_full_disk_knows_what_was_remembered(disk: Path, clock: StillClock) -> None:
    """R1: the holder starts the daemon again while the disk is full."""
    path = disk / "state.db"

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        await record(store, starting("web"))
        await store.close()
        filler = fill(disk)
        store = SqliteStore(path, clock)
        assert set((await store.load(BOOT)).services) == {"web"}
        with pytest.raises(StoreError):
            await record(store, starting("db", 2))
        filler.unlink()
        clock.pass_by(2)
        await record(store, NOTHING)
        await store.close()

    run(scenario())
    assert set(run(recall(path, clock)).services) == {"web", "db"}


@pytest.mark.real
def test_a_first_start_on_a_full_disk_goes_on_without_a_record_until_there_is_room(
    disk: Path, clock: StillClock
) -> None:
    path = disk / "state.db"

    async def scenario() -> None:
        filler = fill(disk)
        store = SqliteStore(path, clock)
        assert await store.load(BOOT) == Memory(boot=BOOT)
        assert "cannot" in store.trouble
        with pytest.raises(StoreError):
            await record(store, starting("web"))
        with pytest.raises(StoreError):
            await store.events()
        filler.unlink()
        clock.pass_by(2)
        late = await record(store, NOTHING)
        assert late[0].kind == "service.starting"
        await store.close()

    run(scenario())
    assert set(run(recall(path, clock)).services) == {"web"}


@pytest.mark.real
def test_r5_a_read_only_disk_is_read_and_what_happens_is_kept_until_it_is_writable(
    disk: Path, clock: StillClock
) -> None:
    """R5."""
    path = disk / "state.db"

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", disk], check=True)

    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        await record(store, starting("web"))
        await store.close()
        remount("ro")
        store = SqliteStore(path, clock)
        assert set((await store.load(BOOT)).services) == {"web"}
        with pytest.raises(StoreError):
            await record(store, starting("db", 2))
        assert len(await store.events()) == 1
        assert len(await store.history("web", 10)) == 1
        remount("rw")
        clock.pass_by(2)
        await record(store, NOTHING)
        await store.close()

    run(scenario())
    assert set(run(recall(path, clock)).services) == {"web", "db"}


def start_commit_loop(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.commit_loop", str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    )


def read_numbers(child: subprocess.Popen[str], count: int) -> list[int]:
    assert child.stdout is not None
    return [int(child.stdout.readline()) for _ in range(count)]


def kill(child: subprocess.Popen[str]) -> list[int]:
    """Kill a process and give the numbers that it still had told."""
    child.send_signal(signal.SIGKILL)
    assert child.stdout is not None
    # The last line may be cut short.
    rest = child.stdout.read().split("\n")[:-1]
    child.stdout.close()
    child.wait()
    return [int(line) for line in rest]


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sigkill_in_the_middle_of_commits_loses_nothing_that_was_told(tmp_path: Path) -> None:
    """S5."""
    path = tmp_path / "state.db"
    luck = random.Random(20231114)
    last = 0
    for _ in range(40):
        child = start_commit_loop(path)
        told_numbers = read_numbers(child, 1)
        threading.Event().wait(luck.uniform(0, 0.05))
        told_numbers += kill(child)
        assert told_numbers[0] > last
        last = told_numbers[-1]
        with closing(sqlite3.connect(path)) as connection:
            newest = connection.execute("SELECT max(seq) FROM events").fetchone()[0]
            assert newest >= last
            last = newest
    assert is_sound(path)


def test_a_child_of_the_daemon_has_none_of_the_records_files(path: Path, clock: StillClock) -> None:
    """S10."""
    listing = ("ls", "-l", f"/proc/{os.getpid()}/fd", "/proc/self/fd")

    async def scenario() -> str:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        await record(store, told(1))
        seen = output_of(*listing)
        await store.close()
        return seen

    ours, childs = run(scenario()).split("/proc/self/fd:")
    assert str(path) in ours
    assert "state.db" not in childs


def test_a_forked_process_is_refused(path: Path, clock: StillClock) -> None:
    async def scenario() -> None:
        store = SqliteStore(path, clock)
        await store.load(BOOT)
        store._pid = 1  # noqa: SLF001 (as a fork would see it)
        with pytest.raises(StoreError, match="belongs to process 1"):
            await record(store, told(1))
        store._pid = os.getpid()  # noqa: SLF001 - as it was
        await store.close()
        with pytest.raises(StoreError, match="is closed"):
            await store.events()

    run(scenario())
