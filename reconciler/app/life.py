"""Live one life of a daemon: take the directory, serve, supervise, and leave it in order."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from reconciler import __version__
from reconciler.adapters.daemon_log import open_log
from reconciler.api.ask import Backend
from reconciler.api.listen import Listener, close_all
from reconciler.api.server import Api, metrics_api
from reconciler.api.streams import Streams
from reconciler.app.assembly import Assembly, assemble
from reconciler.app.ports import RETRY_S, TcpPort
from reconciler.app.source import require_source
from reconciler.app.webhooks import Webhooks
from reconciler.model.event import Happening
from reconciler.runtime import detach
from reconciler.runtime.announcer import Announcer
from reconciler.runtime.caretaker import Caretaker
from reconciler.runtime.foreground import Interrupts, Onlooker, Show
from reconciler.runtime.home import Home, bind_socket
from reconciler.runtime.memory import keep_small, use_one_arena
from reconciler.runtime.options import UpOptions
from reconciler.runtime.paths import StatePaths

log = logging.getLogger(__name__)

FAREWELL_S = 3.0
"""What the last messages get to reach whoever listens."""

Ready = Callable[[], None]


def live(options: UpOptions, *, show: Show | None = None, ready: Ready | None = None) -> int:
    """Run a daemon from beginning to end. Raises WeaverError where it cannot begin."""
    home = Home(StatePaths.of(options.root, options.state_dir))
    require_source(home.paths)
    use_one_arena()
    announcer = Announcer(os.environ)
    try:
        handler = open_log(home.paths.daemon_log)
        for library in ("watchfiles", "asyncio", "uvicorn"):
            logging.getLogger(library).setLevel(logging.WARNING)
        log.info("weaver %s begins, pid %d, for %s", __version__, os.getpid(), home.paths.root)
        try:
            returns = asyncio.run(_live(home, options, announcer, show, ready))
        finally:
            log.info("weaver ends, pid %d", os.getpid())
            logging.getLogger().removeHandler(handler)
            handler.close()
    finally:
        home.leave()
    if returns:
        announcer.hand_over()
        detach.replace_program()
    return 0


async def _live(
    home: Home,
    options: UpOptions,
    announcer: Announcer,
    show: Show | None,
    ready: Ready | None,
) -> bool:
    assembly = await assemble(home.paths, options)
    life = Life(home, assembly, options, announcer, show)
    in_order = False
    try:
        await life.run(ready)
        in_order = True
    finally:
        await assembly.close(in_order=in_order)
    return assembly.daemon.returns


class Life:
    """A daemon's loop, and the tasks beside it."""

    def __init__(
        self,
        home: Home,
        assembly: Assembly,
        options: UpOptions,
        announcer: Announcer,
        show: Show | None,
    ) -> None:
        self._announcer = announcer
        self._home = home
        self._parts = assembly
        self._options = options
        self._show = show
        self._streams = Streams()
        self._backend = Backend(
            control=assembly.control,
            streams=self._streams,
            exposition=assembly.exposition,
            wall=assembly.clock.wall,
        )
        self._api = Api(self._backend, {os.getuid(), 0})
        self._listener: Listener | None = None
        self._endless: set[asyncio.Task[None]] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._caretaker = Caretaker(home, self._open_socket)
        backend, following = self._backend, assembly.source.following
        self._metrics = TcpPort("metrics", lambda: metrics_api(backend), assembly.listening)
        self._webhooks = Webhooks(
            home.paths.root,
            following.hurry if following else None,
            assembly.clock.wall,
            assembly.counts.webhooks,
        )

    async def run(self, ready: Ready | None) -> None:
        """Serve and supervise until everything is stopped, or until told to leave."""
        await self._open_socket()
        self._home.register()
        self._parts.source.announce(self._home.paths)
        self._heed_signals()
        self._begin_tasks()
        if ready is not None:
            ready()
        self._announcer.ready()
        try:
            await self._parts.daemon.run()
        finally:
            self._parts.source.withdraw(self._home.paths)
            await self._end_tasks()

    def _begin_tasks(self) -> None:
        parts = self._parts
        parts.troubles.append(lambda: self._caretaker.trouble)
        parts.troubles.append(lambda: self._metrics.trouble)
        parts.troubles.append(self._webhooks.trouble)
        parts.troubles.append(parts.logbook.trouble)
        self._begin(self._caretaker.run(), self._endless)
        self._begin(parts.logbook.keep(parts.daemon), self._endless)
        self._begin(self._follow_settings(), self._endless)
        if parts.source.following is not None:
            self._begin(parts.source.following.run(), self._endless)
        self._begin(parts.code.run(parts.daemon.tell), self._endless)
        self._begin(keep_small(), self._endless)
        self._begin(parts.measuring.run(), self._endless)
        checking = parts.checking.run(parts.daemon.turn, parts.daemon.situation)
        self._begin(checking, self._endless)
        self._begin(parts.patrol.run(), self._endless)
        self._begin(parts.allotting.run(), self._endless)
        self._begin(parts.reverting.run(), self._endless)
        if parts.pushing is not None:
            self._begin(parts.pushing.run(), self._endless)
        self._begin(parts.control.resuming.run(), self._endless)
        self._begin(parts.hooks.run(parts.daemon.journal.listen), self._endless)
        self._begin(self._tell_of_return(), self._endless)
        self._begin(self._announcer.keep_alive(), self._endless)
        self._begin(self._tell_of_end(), self._endless)
        if self._show is not None:
            onlooker = Onlooker(parts.daemon, parts.control, self._show)
            self._begin(onlooker.run(with_logs=self._options.logs), self._ending)

    async def _tell_of_return(self) -> None:
        """Put on record that the holder brought this daemon back in the place of a dead one."""
        ending = await self._parts.host.revived()
        if ending:
            log.warning("the daemon was brought back: the last one %s", ending)
            reason = f"the last one {ending}"
            await self._parts.daemon.note(Happening(kind="daemon.brought-back", reason=reason))
            self._parts.control.brought_back = reason

    async def _tell_of_end(self) -> None:
        """Tell whoever supervises us once an end was asked for: it may take its time."""
        await self._parts.daemon.ending.wait()
        self._announcer.stopping()

    async def _end_tasks(self) -> None:
        for task in self._endless:
            task.cancel()
        listeners = [*self._metrics.listeners, *self._webhooks.port.listeners]
        listeners += [self._listener] if self._listener else []
        if self._parts.daemon.returns:
            self._streams.farewell = "the daemon replaces itself; connect again"
        await close_all(listeners, self._streams)
        if self._ending:
            _, slow = await asyncio.wait(self._ending, timeout=FAREWELL_S)
            for task in slow:
                task.cancel()
        await asyncio.gather(*self._endless, *self._ending, return_exceptions=True)

    def _begin(self, work: Coroutine[Any, Any, None], kind: set[asyncio.Task[None]]) -> None:
        task = asyncio.create_task(work)
        kind.add(task)
        task.add_done_callback(kind.discard)
        task.add_done_callback(_complain)

    async def _open_socket(self) -> None:
        """Listen on the unix socket, instead of one whose file is gone if there was one."""
        bound = bind_socket(self._home.paths.socket)
        if self._listener is not None:
            self._listener.stop()
        self._listener = Listener(self._api, bound)
        self._begin(self._listener.serve(), self._ending)

    async def _follow_settings(self) -> None:
        """Put weaver.yaml into force as it changes."""
        settings = self._parts.source.settings
        while True:
            config = settings.now
            for port, address in (
                (self._metrics, config.metrics_listen),
                (self._webhooks.port, self._webhooks.wanted(config)),
            ):
                serving = await port.follow(address)
                if serving is not None:
                    self._begin(serving, self._ending)
            is_missing = self._metrics.trouble or self._webhooks.port.trouble
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_S if is_missing else None):
                    await settings.other_than(config)

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        interrupts = Interrupts(self._parts.daemon, self._show, loop.time)
        loop.add_signal_handler(signal.SIGINT, interrupts.press)
        loop.add_signal_handler(signal.SIGTERM, interrupts.terminate)
        # A terminal that closes takes a daemon in its foreground with it, and no other.
        hang_up = interrupts.terminate if self._show else lambda: None
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            # They mean nothing here, and would end us all the same.
            loop.add_signal_handler(number, lambda: None)
        # A flood of signals fills the pipe that they come through, which is no error to print.
        signal.set_wakeup_fd(signal.set_wakeup_fd(-1), warn_on_full_buffer=False)


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (why := task.exception()) is not None:
        log.error("a task of the daemon ended", exc_info=why)
