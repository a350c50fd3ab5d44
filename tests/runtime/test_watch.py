"""Watching real files."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler.adapters import watch
from reconciler.adapters.watch import Watch
from reconciler.adapters.watch.folders import Folders
from tests.waiting import until_async

pytestmark = pytest.mark.real

INODE = re.compile(r"^inotify wd:\S+ ino:([0-9a-f]+)", re.MULTILINE)
QUIET_S = 0.8
"""Longer than any event takes to be told."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "services.d").mkdir()
    (tmp_path / "services.d" / "web.yaml").write_text("name: web\n")
    return tmp_path


class Seen:
    """Counts what a watch tells."""

    def __init__(self, changes: AsyncIterator[None]) -> None:
        self._changes = changes
        self.count = 0
        self._more = asyncio.Condition()

    async def listen(self) -> None:
        async for _ in self._changes:
            async with self._more:
                self.count += 1
                self._more.notify_all()

    async def reaches(self, count: int) -> None:
        async with asyncio.timeout(5), self._more:
            await self._more.wait_for(lambda: self.count >= count)

    async def stays(self) -> bool:
        before = self.count
        await asyncio.sleep(QUIET_S)
        return self.count == before


def are_watched(*folders: Path) -> bool:
    """Tell whether the kernel tells this process of what happens in those that are there."""
    watched = set()
    for entry in Path("/proc/self/fdinfo").iterdir():
        with suppress(OSError):
            watched |= {int(found, 16) for found in INODE.findall(entry.read_text())}
    return all(folder.stat().st_ino in watched for folder in folders if folder.is_dir())


def watching(
    root: Path, story: Callable[[Seen, Watch], Awaitable[None]], slow_look_s: float = 60.0
) -> None:
    async def tell() -> None:
        watcher = Watch(root, root / ".git", slow_look_s=slow_look_s)
        seen = Seen(watcher.changes())
        listening = asyncio.create_task(seen.listen())
        await until_async(lambda: watcher.problem or are_watched(root, root / "services.d"))
        try:
            await story(seen, watcher)
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    asyncio.run(tell())


def save(path: Path) -> None:
    path.write_text("name: web\ncommand: sleep 1\n")


def save_by_rename(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.swp")
    temporary.write_text("name: web\n")
    temporary.rename(path)


def replace_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    save(path)


@pytest.mark.parametrize(
    "act",
    [
        save,
        save_by_rename,
        Path.unlink,
        replace_folder,
        lambda path: save(path.with_name("api.yaml")),
        lambda path: (path.parent / "team").mkdir(),
        lambda path: save(path.parent.parent / "weaver.yaml"),
        lambda path: path.parent.rename(path.parent.with_name("elsewhere")),
    ],
    ids=["save", "rename", "delete", "new folder", "new file", "subfolder", "settings", "moved"],
)
def test_a_change_is_told(root: Path, act: Callable[[Path], object]) -> None:
    async def story(seen: Seen, _: Watch) -> None:
        act(root / "services.d" / "web.yaml")
        await seen.reaches(1)

    watching(root, story)


def test_a_replaced_folder_is_watched_on(root: Path) -> None:
    async def story(seen: Seen, _: Watch) -> None:
        replace_folder(root / "services.d" / "web.yaml")
        await seen.reaches(1)
        while not await seen.stays():
            pass
        told = seen.count
        save(root / "services.d" / "api.yaml")
        await seen.reaches(told + 1)

    watching(root, story)


def test_a_folder_that_comes_later_is_watched(tmp_path: Path) -> None:
    async def story(seen: Seen, _: Watch) -> None:
        (tmp_path / "services.d").mkdir()
        await seen.reaches(1)
        while not await seen.stays():
            pass
        told = seen.count
        save(tmp_path / "services.d" / "web.yaml")
        await seen.reaches(told + 1)

    watching(tmp_path, story)


def test_a_burst_is_one(root: Path) -> None:
    async def story(seen: Seen, _: Watch) -> None:
        for number in range(200):
            save(root / "services.d" / f"web{number}.yaml")
        await seen.reaches(1)
        assert await seen.stays() or seen.count <= 3

    watching(root, story)


@pytest.mark.parametrize("name", [".web.yaml.swp", "web.yaml~", "#web.yaml#", "web.yaml.tmp"])
def test_what_editors_leave_does_not_matter(root: Path, name: str) -> None:
    async def story(seen: Seen, _: Watch) -> None:
        save(root / "services.d" / name)
        assert await seen.stays()

    watching(root, story)


def test_logs_and_other_files_of_the_repository_do_not_matter(root: Path) -> None:
    logs = root / ".weaver" / "logs" / "web"
    logs.mkdir(parents=True)

    async def story(seen: Seen, _: Watch) -> None:
        with (logs / "0.log").open("a") as log:
            for _line in range(1000):
                log.write("a line\n")
                log.flush()
        save(root / "README.md")
        assert await seen.stays()

    watching(root, story)


def test_a_flood_into_a_log_beside_the_settings_is_not_heard(root: Path) -> None:
    """A test of the kernel's side: not one event is made, so none is filtered either."""
    folders = Folders([root])
    with (root / "app.log").open("a") as log:
        assert folders.happened() == {root / "app.log"}
        for _line in range(1000):
            log.write("a line\n")
            log.flush()
        assert folders.happened() == set()
    assert folders.happened() == {root / "app.log"}
    folders.close()


def test_r9_when_the_kernel_loses_file_events_everything_is_read_anew(root: Path) -> None:
    """R9: more files come and go than it keeps events of."""

    async def story(seen: Seen, _: Watch) -> None:
        await seen.reaches(0)
        for number in range(12_000):
            (root / f"{number}.log").touch()
        await seen.reaches(1)

    watching(root, story)


def test_env_files_matter_once_they_are_named(root: Path) -> None:
    (root / "config").mkdir()
    env_file = root / "config" / "web.env"

    async def story(seen: Seen, watcher: Watch) -> None:
        env_file.write_text("A=1\n")
        assert await seen.stays()
        watcher.also([env_file])
        await until_async(lambda: are_watched(root / "config"))
        env_file.write_text("A=2\n")
        await seen.reaches(1)

    watching(root, story)


def test_a_commit_is_told_and_a_look_at_the_status_is_not(root: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", str(root), *identity, *words], check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")

    async def story(seen: Seen, _: Watch) -> None:
        await asyncio.to_thread(git, "status")
        assert await seen.stays()
        await asyncio.to_thread(git, "commit", "-q", "--allow-empty", "-m", "second")
        await seen.reaches(1)

    watching(root, story)


def test_there_is_a_slow_look_when_nothing_is_told(root: Path) -> None:
    async def story(seen: Seen, _: Watch) -> None:
        await seen.reaches(2)

    watching(root, story, slow_look_s=0.1)


def test_r8_without_file_events_it_looks_and_says_so(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: Any) -> None:
        raise OSError("OS file watch limit reached.")

    monkeypatch.setattr(watch, "awatch", refuse)

    async def story(seen: Seen, watcher: Watch) -> None:
        await seen.reaches(2)
        assert "file watch limit reached" in watcher.problem
        monkeypatch.undo()
        await seen.reaches(seen.count + 1)
        while not await seen.stays():
            pass
        assert watcher.problem == ""

    watching(root, story, slow_look_s=60.0)
