"""Tell what happens, as it happens, to somebody who looks on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from reconciler.model.diagnostic import Diagnostic
from reconciler.model.event import Operation, OperationKind
from reconciler.model.log import LogQuery
from reconciler.model.status import Picture
from reconciler.model.units import ServiceName
from reconciler.ports import EventRecord
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.journal import Listener
from reconciler.runtime.live import LiveControl
from reconciler.runtime.messages import Converged, EventSeen, Message, Note, Problem

Show = Callable[[Message], None]
MOST_FAULTS = 20
PATIENCE_S = 2.0
BURST_S = 0.3
"""Presses of Ctrl-C closer than this are one."""
HOPELESS_S = 5.0
"""A press so long after the one that killed finds nothing left to be done."""


class Onlooker:
    """Shows a daemon's events, faults of manifests, and each time when all is as wanted."""

    def __init__(self, daemon: Daemon, control: LiveControl, show: Show) -> None:
        self._daemon = daemon
        self._control = control
        self._show = show
        self._faults: tuple[Diagnostic, ...] = ()
        self._troubles: tuple[str, ...] = ()
        self._held = ""
        self._was_converged = False
        self._since = asyncio.get_running_loop().time()
        self._places: dict[str, tuple[str, ...]] = {}

    async def run(self, *, with_logs: bool = False) -> None:
        """Look on until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._events())
            if with_logs:
                tasks.create_task(self._logs())

    async def _events(self) -> None:
        with self._daemon.journal.listen() as listener:
            while True:
                picture = await self._daemon.next_picture()
                self._tell(listener, picture)
                if self._look(picture):
                    # What led there may have been decided and not told yet.
                    await self._daemon.caught_up()
                    self._tell(listener, picture)
                    await self._say_where()
                    self._arrive(picture)
                if self._daemon.is_over:
                    if self._daemon.has_finished:
                        self._show(Note(text="everything is stopped"))
                    return

    def _tell(self, listener: Listener, picture: Picture) -> None:
        for event in listener.drain():
            self._show(self._seen(event, picture))

    def _seen(self, event: EventRecord, picture: Picture) -> EventSeen:
        status = picture.services.get(ServiceName(event.service))
        is_one_of_several = status is not None and len(status.slots) > 1
        return EventSeen(event=event, is_one_of_several=is_one_of_several)

    def _look(self, picture: Picture) -> bool:
        """Show what no event tells: faults, holds, troubles, arrival. Tell whether it arrived."""
        self._show_faults(picture)
        if picture.source_held != self._held:
            self._held = picture.source_held
            self._show(Note(text=self._held or "the manifests are followed again"))
        if (troubles := self._control.troubles()) != self._troubles:
            for text in troubles:
                if text not in self._troubles:
                    self._show(Problem(title=text))
            self._troubles = troubles
        has_arrived = picture.converged and not self._was_converged
        if self._was_converged and not picture.converged:
            self._since = asyncio.get_running_loop().time()
        self._was_converged = picture.converged
        return has_arrived and not (self._daemon.is_ending or self._daemon.is_over)

    def _show_faults(self, picture: Picture) -> None:
        faults = tuple(found for found in picture.diagnostics if not found.is_warning)
        fresh = tuple(found for found in faults if found not in self._faults)
        if fresh:
            self._show(
                Problem(
                    title="manifests are invalid; what ran before runs on",
                    exit_code=2,
                    diagnostics=fresh[:MOST_FAULTS],
                )
            )
        elif self._faults and not faults:
            self._show(Note(text="all manifests are valid again"))
        self._faults = faults

    def _arrive(self, picture: Picture) -> None:
        """Say that all is as wanted, unless somebody wants an end of it meanwhile."""
        if self._daemon.is_ending:
            return
        self._show(
            Converged(
                revision=picture.revision,
                services=tuple(picture.services),
                seconds=asyncio.get_running_loop().time() - self._since,
            )
        )

    async def _say_where(self) -> None:
        """Say where services listen, where that is news."""
        for slot, places in (await self._control.listening(PATIENCE_S)).items():
            if places and self._places.get(str(slot)) != places:
                self._show(Note(text=f"{slot.service} listens on {', '.join(places)}"))
            self._places[str(slot)] = places

    async def _logs(self) -> None:
        await self._daemon.manifests_read()
        async for line in self._control.logs(LogQuery(lines=0, follow=True)):
            self._show(Note(text=f"{line.instance} | {line.message}"))


class Interrupts:
    """Signals that end the daemon.

    SIGTERM, however often it comes, stops everything in order, and so does the first Ctrl-C. The
    second Ctrl-C kills; one that comes long after that leaves, for the host may not be seen at
    all. Wrappers pass a Ctrl-C on that the terminal sent already, so a burst counts once.
    """

    def __init__(self, daemon: Daemon, show: Show | None, now: Callable[[], float]) -> None:
        self._daemon = daemon
        self._show = show
        self._now = now
        self._presses = 0
        self._pressed_at = -BURST_S

    def terminate(self) -> None:
        """Take a SIGTERM."""
        self._ask(OperationKind.SHUTDOWN)

    def press(self) -> None:
        """Take a Ctrl-C."""
        since_s = self._now() - self._pressed_at
        if since_s < BURST_S:
            return
        self._pressed_at = self._now()
        self._presses += 1
        if self._presses == 1:
            self._say("stopping everything in order; Ctrl-C again kills at once")
            self._ask(OperationKind.SHUTDOWN)
        elif self._presses == 2 or since_s < HOPELESS_S:
            self._say("killing what is left")
            self._ask(OperationKind.KILL)
        else:
            self._say("leaving; what still runs is left to the holder")
            self._daemon.leave()

    def _ask(self, kind: OperationKind) -> None:
        self._daemon.ask(Operation(id="signal", kind=kind, actor="signal"))

    def _say(self, text: str) -> None:
        if self._show is not None:
            self._show(Note(text=text))
