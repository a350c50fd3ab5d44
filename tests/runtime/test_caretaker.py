"""The state directory is looked after while the daemon lives."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from reconciler.runtime import caretaker
from reconciler.runtime.caretaker import Caretaker
from reconciler.runtime.home import Home, bind_socket
from reconciler.runtime.paths import StatePaths
from tests.waiting import until_async


@pytest.fixture(autouse=True)
def runtime_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "run"
    place.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    monkeypatch.setattr(caretaker, "LOOK_EVERY_S", 0.02)


def looking_after(root: Path, story: Callable[[Home, Caretaker], Awaitable[None]]) -> int:
    """Give how often the socket was opened anew."""

    async def tell() -> int:
        home = Home(StatePaths.of(root))
        opened = [bind_socket(home.paths.socket)]

        async def reopen() -> None:
            opened.append(bind_socket(home.paths.socket))

        looker = Caretaker(home, reopen)
        task = asyncio.create_task(looker.run())
        try:
            await story(home, looker)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for bound in opened:
                bound.close()
            home.leave()
        return len(opened) - 1

    return asyncio.run(tell())


def test_nothing_is_done_while_nothing_is_lost(tmp_path: Path) -> None:
    async def story(_: Home, __: Caretaker) -> None:
        await asyncio.sleep(0.1)

    assert looking_after(tmp_path, story) == 0


@pytest.mark.parametrize("what", ["state", "socket"])
def test_what_is_deleted_is_made_again_once(tmp_path: Path, what: str) -> None:
    async def story(home: Home, looker: Caretaker) -> None:
        if what == "state":
            shutil.rmtree(home.paths.state)
        else:
            home.paths.socket.unlink()
        await until_async(home.paths.socket.exists)
        await until_async(lambda: home.paths.lock_file.exists() and not looker.trouble)
        await asyncio.sleep(0.1)  # for what must not happen: that it is made once more

    assert looking_after(tmp_path, story) == 1


def test_what_cannot_be_made_again_is_said_until_it_can(tmp_path: Path) -> None:
    async def story(home: Home, looker: Caretaker) -> None:
        shutil.rmtree(home.paths.state)
        home.paths.state.write_text("in the way")
        await until_async(lambda: "it is no folder" in looker.trouble)
        home.paths.state.unlink()
        await until_async(lambda: not looker.trouble and home.paths.socket.exists())

    assert looking_after(tmp_path, story) == 1
