"""Run the host's hooks: programs in process groups of their own, with a document to read.

Nothing of a hook outlives it or its time limit, and none of them is waited for by the loop. Its
group is killed as it ends; who left that, a moment later, is known by a mark as services are. The
mark is noted down for as long, so that the next daemon ends what one that was killed has left.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from reconciler.children import kill_group, reap
from reconciler.failpoints import failpoint
from reconciler.holder import tree
from reconciler.model.spec import Hook
from reconciler.model.units import in_seconds

log = logging.getLogger(__name__)

OUTPUT_LIMIT = 1 << 20
"""Bytes of a hook's output that are kept, the last ones."""
KILL_S = 1.0
"""How long the end of one that was killed is waited for."""
WORDS_LIMIT = 300
"""Characters of its last line that people are shown."""
IDLE_SHARE = 19
"""How much longer than a search for what is left of hooks the pause after it is."""
SETTLE_S = 0.02
"""Before a search, in which further hooks may end."""
_ROUNDS = 100
"""How often those are looked for whom a daemon left that was killed: they may fork all the time."""
_CHUNK = 65536
_READ_EVERY_S = 0.01
"""Between readings, so that one who floods its output takes little of our time."""


class HookPrograms:
    """Runs hooks in one directory and one environment. Implements `HookRunner`."""

    def __init__(self, root: Path, env: Mapping[str, str], notes: Path) -> None:
        """Run hooks in this directory and environment, with notes on them in a folder."""
        self._root = root
        self._env = env
        self._notes = _Notes(notes)
        self._remains = _Remains(self._notes)
        self._sweeping: asyncio.Task[None] | None = None

    async def sweep(self) -> None:
        """End what is left of the hooks of a daemon that was killed; once, before any other."""
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep(), name="hook-sweep")
        await asyncio.shield(self._sweeping)

    async def _sweep(self) -> None:
        since = left = self._notes.left()
        for _ in range(_ROUNDS):
            if not left:
                break
            left = await asyncio.to_thread(_kill_bearers, left)
            if left:
                log.info("ended what hooks of a daemon that was killed had left")
        self._notes.forget(since.keys() - left.keys())

    async def run(self, kind: str, hook: Hook, document: bytes) -> str:
        """Run a hook to its end; give what was wrong, with its last words, or nothing."""
        await self.sweep()
        said = bytearray()
        mark, began = secrets.token_hex(8), tree.now()
        self._notes.add(mark, began)
        try:
            child, output = self._start(kind, hook, document, mark)
        except OSError as why:
            self._notes.forget({mark})
            reason = os.strerror(why.errno).lower() if why.errno else str(why)
            return f"cannot run {_argv(hook)[0]}: {reason}"
        try:
            ends = await _ended(child, output, said, in_seconds(hook.timeout))
        except asyncio.CancelledError:
            self._notes.forget({mark} - _kill_bearers({mark: began}).keys())
            raise
        self._remains.add(mark, began)
        words = _last_words(said)
        problem = _problem(child.returncode) if ends else f"not done within {_span(hook)}, killed"
        return f"{problem}: {words}" if problem and words else problem

    def fault(self, hook: Hook) -> str:
        """Say why a hook could not be run if it had to be; nothing where it could."""
        name = _argv(hook)[0]
        if "/" not in name:
            found = shutil.which(name, path=self._env.get("PATH", os.defpath))
            return "" if found else f"{name} is not on the PATH"
        file = self._root / name
        if not file.is_file():
            return f"{name} is {'a directory' if file.is_dir() else 'not there'}"
        return "" if os.access(file, os.X_OK) else f"{name} is not executable"

    def _start(
        self, kind: str, hook: Hook, document: bytes, mark: str
    ) -> tuple[subprocess.Popen[bytes], int]:
        """Start a hook; its document lies in memory, so that nobody has to feed it."""
        output, its_end = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(output, False)
        memory = os.memfd_create("weaver-hook", os.MFD_CLOEXEC)
        try:
            os.write(memory, document)
            os.lseek(memory, 0, os.SEEK_SET)
            failpoint("hook.start.before")
            child = subprocess.Popen(
                _argv(hook),
                cwd=self._root,
                env={**self._env, "WEAVER_HOOK": kind, tree.MARK: mark},
                stdin=memory,
                stdout=its_end,
                stderr=its_end,
                start_new_session=True,
            )
        except BaseException:
            os.close(output)
            raise
        finally:
            os.close(its_end)
            os.close(memory)
        failpoint("hook.start.after")
        return child, output


class _Notes:
    """The marks of hooks that run, or may have left somebody: one small file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._boot = tree.boot_id()

    def add(self, mark: str, began: int) -> None:
        """Note a hook; where that cannot be, it runs all the same."""
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, exist_ok=True)
            (self._folder / mark).write_text(f"{self._boot} {began}")

    def forget(self, marks: Iterable[str]) -> None:
        """Take the notes of hooks away of which nothing is left."""
        for mark in marks:
            with suppress(OSError):
                (self._folder / mark).unlink()

    def left(self) -> dict[str, int]:
        """Give the marks that a former daemon of this boot left, and since when each is there."""
        found = {}
        with suppress(OSError):
            for path in sorted(self._folder.iterdir()):
                boot, _, began = path.read_text("utf-8", "replace").partition(" ")
                if boot == self._boot and began.isdecimal():
                    found[path.name] = int(began)
                else:
                    self.forget({path.name})
        return found


class _Remains:
    """Searches for what is left of hooks that ended, for many of them at once."""

    def __init__(self, notes: _Notes) -> None:
        self._notes = notes
        self._since: dict[str, int] = {}
        """When each hook began whose processes are to be searched for, by its mark."""
        self._searching: asyncio.Task[None] | None = None

    def add(self, mark: str, began: int) -> None:
        """Have whoever carries a mark killed soon."""
        self._since[mark] = began
        if self._searching is None or self._searching.done():
            self._searching = asyncio.create_task(self._search(), name="hook-remains")

    async def _search(self) -> None:
        try:
            while self._since:
                await asyncio.sleep(SETTLE_S)
                since, self._since = self._since, {}
                began = time.monotonic()
                found = await asyncio.to_thread(_kill_bearers, since)
                self._notes.forget(since.keys() - found.keys())
                # Whoever was found may have forked just before.
                self._since |= found
                await asyncio.sleep(IDLE_SHARE * (time.monotonic() - began))
        finally:
            if self._since:
                found = _kill_bearers(self._since)
                self._notes.forget(self._since.keys() - found.keys())


def _kill_bearers(since: Mapping[str, int]) -> dict[str, int]:
    """Kill whoever carries one of these marks; give those of whom there was somebody."""
    found = {}
    for mark, process in tree.bearers(since, min(since.values())):
        pidfd = tree.pin(process.pid, process.born)
        if pidfd is None:
            continue
        found[mark] = since[mark]
        with suppress(OSError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    return found


async def _ended(
    child: subprocess.Popen[bytes], output: int, said: bytearray, limit_s: float
) -> bool:
    """Wait for the child's end, whoever holds its output open; tell whether it came in time."""
    pidfd = os.pidfd_open(child.pid)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    listening = asyncio.create_task(_listen(output, said))
    in_time = False
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await ended.wait()
                in_time = True
        failpoint("hook.kill.before")
        kill_group(child)
        failpoint("hook.kill.after")
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_S):
                await ended.wait()
    finally:
        kill_group(child)
        loop.remove_reader(pidfd)
        loop.remove_reader(output)
        listening.cancel()
        _take(output, said, 2 * _CHUNK)
        os.close(output)
        reap(child, pidfd)
    return in_time


async def _listen(output: int, said: bytearray) -> None:
    """Take what is written, piece by piece, for as long as anybody may write."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    while True:
        loop.add_reader(output, readable.set)
        await readable.wait()
        readable.clear()
        loop.remove_reader(output)
        if not _take(output, said, _CHUNK):
            return
        await asyncio.sleep(_READ_EVERY_S)


def _take(output: int, said: bytearray, most: int) -> bool:
    """Take what can be read now, and keep its tail; tell whether somebody may write more."""
    try:
        chunk = os.read(output, most)
    except BlockingIOError:
        return True
    said += chunk
    if len(said) > OUTPUT_LIMIT:
        del said[: len(said) - OUTPUT_LIMIT]
    return bool(chunk)


def _argv(hook: Hook) -> list[str]:
    if hook.shell:
        return ["/bin/sh", "-c", hook.command[0], "sh", *hook.args]
    return [*hook.command, *hook.args]


def _problem(code: int | None) -> str:
    if code == 0:
        return ""
    if code is None or code > 0:
        return f"exited with {code}"
    return f"killed by {signal.Signals(-code).name}"


def _span(hook: Hook) -> str:
    return f"{in_seconds(hook.timeout):g} s"


def _last_words(said: bytearray) -> str:
    lines = said[-4 * WORDS_LIMIT :].decode("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[-WORDS_LIMIT:] if lines else ""
