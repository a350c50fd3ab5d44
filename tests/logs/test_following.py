"""What a reader that follows sees while logs grow, shrink, move and vanish."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from reconciler.adapters.logs import files, follow
from reconciler.adapters.logs.follow import Follower
from reconciler.adapters.logs.index import TimeIndex
from reconciler.adapters.logs.lines import LineMaker
from reconciler.adapters.logs.stream import Stream
from reconciler.adapters.logs.wanted import Wanted
from reconciler.model.log import LogLine, LogQuery
from tests.logs.writing import START, Folder
from tests.waiting import until


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setattr(follow, "POLL_S", 0.01)
    monkeypatch.setattr(files, "SOURCES_ASKED_EVERY_S", 0.05)
    return Folder(tmp_path)


class Reader:
    """A reader that follows in the background of a scenario."""

    def __init__(self, logs: Folder, **query: object) -> None:
        self.seen: list[LogLine] = []
        self._logs = logs
        self._query = LogQuery(follow=True, **query)  # type: ignore[arg-type]  # fields, by name

    async def run(self) -> None:
        async for line in self._logs.files.read(self._query, lambda: self._logs.sources):
            self.seen.append(line)

    @property
    def texts(self) -> list[str]:
        return [line.raw for line in self.seen]

    async def sees(self, *texts: str) -> None:
        """Wait until these are the lines seen, in this order."""
        await meets(lambda: self.texts == list(texts), lambda: f"{self.texts}")


async def meets(condition: Callable[[], bool], seen: Callable[[], str] = str) -> None:
    """Wait for a condition while the loop goes on."""
    try:
        await asyncio.to_thread(until, condition)
    except AssertionError:
        pytest.fail(f"in vain; there is: {seen()}")


def following(
    logs: Folder, scenario: Callable[[Reader], Awaitable[None]], **query: object
) -> Reader:
    """Run a scenario beside a reader."""
    reader = Reader(logs, **query)

    async def both() -> None:
        task = asyncio.create_task(reader.run())
        try:
            await scenario(reader)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(both())
    return reader


def test_it_begins_with_the_end_and_goes_on_without_gap_or_repeat(logs: Folder) -> None:
    web = logs.source()
    logs.write(web, "1\n2\n3\nunfini")

    async def scenario(reader: Reader) -> None:
        await reader.sees("2", "3")
        logs.write(web, "shed\n4\n")
        await reader.sees("2", "3", "unfinished", "4")

    seen = following(logs, scenario, lines=2).seen
    assert (seen[-1].timestamp, seen[-1].timestamp_source) == (START, "index")
    assert seen[-1].pid == 4711


def test_lines_of_several_logs_and_of_one_that_comes_later(logs: Folder) -> None:
    web = logs.source("web")

    async def scenario(reader: Reader) -> None:
        logs.write(web, "w\n")
        await reader.sees("w")
        db = logs.source("db")
        logs.write(db, "d\n")
        await reader.sees("w", "d")

    following(logs, scenario)


def test_a_newcomer_with_an_old_log_shows_its_present_run_only(logs: Folder) -> None:
    db = logs.source("db")
    logs.start(db, 0)
    logs.write(db, "old\n", at=1)
    logs.sources.clear()
    web = logs.source("web")

    async def scenario(reader: Reader) -> None:
        logs.write(web, "w\n")
        await reader.sees("w")
        logs.start(db, 100)
        logs.write(db, "new\n")
        logs.sources.append(db)
        await reader.sees("w", "new")

    following(logs, scenario)


def test_a_log_that_is_cut_short_is_read_from_its_beginning(logs: Folder) -> None:
    web = logs.source()
    logs.write(web, "old " * 100 + "\n")

    async def scenario(reader: Reader) -> None:
        await reader.sees("old " * 100)
        os.truncate(web.path, 0)
        logs.write(web, "new\n")
        await reader.sees("old " * 100, "the log was cut short; from its beginning:", "new")

    assert following(logs, scenario).seen[1].is_notice


def rotate(path: Path) -> None:
    path.rename(path.with_name(f"{path.name}.1"))


def test_nothing_is_lost_when_a_log_is_rotated_by_renaming(logs: Folder) -> None:
    web = logs.source()
    path = Path(web.path)
    logs.write(web, "1\n")

    async def scenario(reader: Reader) -> None:
        await reader.sees("1")
        rotate(path)
        service.write(b"2\n")
        await reader.sees("1", "2")
        service.write(b"3\n")
        logs.write(web, "4\n")
        await reader.sees("1", "2", "3", "4")
        logs.write(web, "5\n")
        await reader.sees("1", "2", "3", "4", "5")

    with path.open("ab", buffering=0) as service:
        following(logs, scenario)


def test_a_log_that_is_deleted_and_made_again_is_followed(logs: Folder) -> None:
    """The new file may get the inode of the old one, so the look between them counts."""
    web = logs.source()
    maker = LineMaker(web, TimeIndex((), 0.0), Wanted())
    follower = Follower(Stream(Path(web.path)), maker)
    assert follower.look(START) == []
    for text in ("1\n", "2\n"):
        logs.write(web, text)
        assert [line.raw for line in follower.look(START)] == [text.strip()]
        assert follower.look(START) == []
        Path(web.path).unlink()
        assert follower.look(START) == []


def test_a_line_without_its_break_is_shown_after_a_while(logs: Folder) -> None:
    web = logs.source()

    async def scenario(reader: Reader) -> None:
        logs.write(web, "password: ")
        await reader.sees("password: ")
        logs.write(web, "ok\n")
        await reader.sees("password: ", "ok")

    following(logs, scenario)


def test_filters_hold_while_following(logs: Folder) -> None:
    web = logs.source()

    async def scenario(reader: Reader) -> None:
        logs.write(web, "INFO a\nERROR b\n  trace\nERROR c\n")
        await reader.sees("ERROR b", "  trace")

    following(logs, scenario, level="warn", grep="b|tr")


def test_l7_a_reader_that_falls_far_behind_is_taken_to_the_end(
    logs: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L7: nobody waits for it, and it is told."""
    monkeypatch.setattr(follow, "LAG_MAX", 1024 * 1024)
    web = logs.source()

    async def scenario(reader: Reader) -> None:
        logs.write(web, "first\n")
        await reader.sees("first")
        logs.write(web, b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 30_000 + b"end\n")
        await meets(lambda: reader.texts[-1:] == ["end"])

    seen = following(logs, scenario).seen
    assert seen[1].is_notice
    assert "skipped 2 MB" in seen[1].message
    assert 1000 < len(seen) < 5000


def test_a_reader_that_leaves_takes_its_child_with_it(logs: Folder) -> None:
    logs.write(logs.source(), "a\n")

    async def scenario(reader: Reader) -> None:
        await reader.sees("a")
        assert _children()

    following(logs, scenario, grep="a")
    assert not _children()


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _is_reader(child)]


def _is_reader(child: psutil.Process) -> bool:
    try:
        return any("grep_child" in word for word in child.cmdline())
    except psutil.NoSuchProcess:  # gone between the two looks, or dead and not yet reaped
        return False
