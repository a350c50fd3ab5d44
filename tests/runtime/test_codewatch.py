"""Code under development is watched with one watch, and with none while nobody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.adapters.codewatch import CodeWatch, ground, watcher
from reconciler.adapters.codewatch.ignore import Ignore
from reconciler.model.event import FilesChanged
from reconciler.model.spec import Watch
from reconciler.model.units import Nanos, milliseconds
from tests.core.building import name

QUICK = milliseconds(100)
QUIET_S = 0.6
"""Longer than any event takes to be told."""


@pytest.mark.parametrize(
    ("path", "is_ignored"),
    [
        ("app/main.py", False),
        ("app/.env", False),
        ("app/__pycache__/main.cpython-311.pyc", True),
        ("web/node_modules/left-pad/index.js", True),
        (".git/index", True),
        (".weaver/state.db", True),
        ("services.d/web.yaml", True),
        ("lib/services.d/web.py", False),
        ("app/.main.py.swp", True),
        ("app/main.py~", True),
        ("app/4913", True),
        ("log/web.log", True),
        ("log/web.log.2.gz", True),
        ("data/rows.csv", True),
        ("app/data/rows.py", False),
        ("app/rows.csv", True),
        ("app/keep.csv", False),
        ("docs/a/b/c.png", True),
        ("docs/c.png", True),
        ("docs/c.md", False),
        ("app/x1.txt", True),
        ("app/xa.txt", False),
    ],
)
def test_patterns_mean_what_they_mean_in_a_gitignore(path: str, is_ignored: bool) -> None:
    ignore = Ignore(["*.csv", "!keep.csv", "/data/", "docs/**/*.png", "x[0-9].txt"])
    assert ignore.covers(path, is_folder=False) is is_ignored


def test_what_is_named_counts_though_its_like_is_ignored() -> None:
    assert not Ignore([]).covers("node_modules/mine/x.js", is_folder=False, below=2)
    assert Ignore([]).covers("node_modules/mine/x.pyc", is_folder=False, below=2)


class Told:
    """Keeps what a watch told."""

    def __init__(self) -> None:
        self.events: list[FilesChanged] = []
        self._more = asyncio.Event()

    def __call__(self, event: FilesChanged) -> None:
        self.events.append(event)
        self._more.set()

    async def reaches(self, count: int) -> FilesChanged:
        async with asyncio.timeout(10):
            while len(self.events) < count:
                self._more.clear()
                await self._more.wait()
        return self.events[-1]

    async def stays(self) -> bool:
        before = len(self.events)
        await asyncio.sleep(QUIET_S)
        return len(self.events) == before


Story = Callable[[CodeWatch, Told], Awaitable[None]]


def watching(root: Path, story: Story, **how: Any) -> None:
    async def play() -> None:
        ticks = iter(range(1, 10_000))
        code, told = CodeWatch(root, lambda: Nanos(next(ticks)), **how), Told()
        running = asyncio.create_task(code.run(told))
        try:
            await story(code, told)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(play())


async def becomes(question: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not question():  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0.01)


async def is_watching(code: CodeWatch, count: int) -> None:
    await becomes(lambda: code.watched_folders == count)
    await asyncio.sleep(0.2)  # the kernel is asked after they were counted


def test_what_is_not_there_to_watch_is_named(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    code = CodeWatch(tmp_path, lambda: Nanos(1))
    code.want(
        {
            name("web"): Watch(paths=("app", "ap/p.py")),
            name("api"): Watch(paths=(str(tmp_path / "app"),)),
        },
        frozenset(),
    )
    assert code.absent() == {"web": ("ap/p.py",)}


@pytest.mark.real
def test_a_burst_is_one_change_that_names_its_files(tmp_path: Path) -> None:
    for folder in ("app/inner", "app/node_modules/big/deep", "other"):
        (tmp_path / folder).mkdir(parents=True)
    log = tmp_path / "app" / "out.txt"

    async def story(code: CodeWatch, told: Told) -> None:
        assert code.watched_folders == 0
        spared = frozenset({str(log)})
        code.want({name("web"): Watch(paths=("app",), delay=QUICK)}, spared)
        await is_watching(code, 2)
        for file in ("app/a.py", "app/inner/b.py", "app/x.pyc", "other/c.py"):
            (tmp_path / file).write_text("1")
        log.write_text("a line\n")
        (tmp_path / "app" / "out.txt.1").write_text("an older line\n")
        event = await told.reaches(1)
        assert (event.service, event.files, event.count) == (
            "web",
            ("app/a.py", "app/inner/b.py"),
            2,
        )
        assert await told.stays()
        # What comes into being is watched as well, and so is what is saved by renaming.
        (tmp_path / "app" / "new" / "deep").mkdir(parents=True)
        await told.reaches(2)
        await is_watching(code, 4)
        (tmp_path / "app" / "new" / "deep" / "d.py.tmp").write_text("1")
        (tmp_path / "app" / "new" / "deep" / "d.py.tmp").rename(tmp_path / "app/new/deep/d.py")
        assert "app/new/deep/d.py" in (await told.reaches(3)).files
        # Nobody asks any more: nothing is watched.
        code.want({}, frozenset())
        await is_watching(code, 0)
        (tmp_path / "app" / "a.py").write_text("2")
        assert await told.stays()

    watching(tmp_path, story)


@pytest.mark.real
def test_without_file_events_it_looks_by_the_clock_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "a.py").write_text("1")

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(28, "OS file watch limit reached")

    monkeypatch.setattr(watcher, "awatch", refuse)

    async def story(code: CodeWatch, told: Told) -> None:
        code.want({name("web"): Watch(paths=("app",), delay=QUICK)}, frozenset())
        await becomes(lambda: code.problem)
        assert "OS file watch limit reached; looking every 0.1 s" in code.problem
        await asyncio.sleep(0.3)
        (tmp_path / "app" / "a.py").write_text("22")
        assert (await told.reaches(1)).files == ("app/a.py",)
        assert await told.stays()

    watching(tmp_path, story, look_s=0.1)


@pytest.mark.real
def test_more_folders_than_can_be_watched_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6):
        (tmp_path / "app" / str(number)).mkdir(parents=True)
    monkeypatch.setattr(ground, "MOST_FOLDERS", 3)

    async def story(code: CodeWatch, told: Told) -> None:
        code.want({name("web"): Watch(paths=("app",), delay=QUICK)}, frozenset())
        await is_watching(code, 3)
        assert "there are more than 3 folders" in code.problem
        (tmp_path / "app" / "a.py").write_text("1")
        await told.reaches(1)

    watching(tmp_path, story)


@pytest.mark.real
def test_a_storm_is_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app").mkdir()
    monkeypatch.setattr(watcher, "LONGEST_STORM", 3)

    async def story(code: CodeWatch, told: Told) -> None:
        code.want({name("web"): Watch(paths=("app",), delay=milliseconds(300))}, frozenset())
        await is_watching(code, 1)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while len(told.events) < 2:
            (tmp_path / "app" / "a.py").write_text(str(loop.time()))
            await asyncio.sleep(0.02)
        assert loop.time() - begun > 1.8

    watching(tmp_path, story)
