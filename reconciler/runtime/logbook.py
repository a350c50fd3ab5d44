"""Find the services' log files for whoever wants to read them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace

from reconciler.core.launch import Surroundings, error_file, log_file
from reconciler.model.event import Happening, Spawn
from reconciler.model.log import Level, LogLine, LogNews, LogQuery, LogSource
from reconciler.model.observed import Slot
from reconciler.model.plan import Situation
from reconciler.model.spec import ServiceSpec
from reconciler.model.status import Picture, ServiceStatus
from reconciler.model.units import ServiceName
from reconciler.ports import Logs, NotFoundError, WeaverError
from reconciler.runtime.daemon import Daemon
from reconciler.runtime.guards import known
from reconciler.runtime.paths import StatePaths

TAIL_LINES = 10
TAIL_WITHIN_S = 1.0
INDEX_EVERY_S = 10.0
FIRST_LOOK_S = 2.0
WORDS_BYTES = 8192
TROUBLES_TOLD = 3


class Logbook:
    """The logs of the services that a daemon knows."""

    def __init__(self, logs: Logs, paths: StatePaths) -> None:
        self._logs = logs
        self._troubles: tuple[str, ...] = ()
        self._folders = Surroundings(root=str(paths.root), log_dir=str(paths.logs))

    def mark_start(self, command: Spawn) -> None:
        """Note where a run's output begins."""
        if command.errand is not None:
            return
        for source in self._files(command.spec, command.slot, None):
            self._logs.mark_start(source)

    async def keep(self, daemon: Daemon) -> None:
        """Note now and then how long each log is, and rotate it; the task of a daemon's life."""
        pause = FIRST_LOOK_S  # what a killed daemon left half-done is not left for long
        looked_at = -INDEX_EVERY_S
        try:
            while True:
                await asyncio.sleep(pause)
                if time.monotonic() - looked_at >= INDEX_EVERY_S:
                    looked_at = time.monotonic()
                    # No picture: one of a thousand services costs more than all else that idles.
                    sources = self._of_slots(daemon.situation())
                    await asyncio.to_thread(self._logs.look, sources)
                kept = await asyncio.to_thread(self._logs.keep)
                self._troubles = kept.troubles
                for news in kept.news:
                    await daemon.note(_happening(news))
                pause = min(kept.pause_s, INDEX_EVERY_S)
        finally:
            self._logs.close()

    def trouble(self) -> str:
        """Say what is wrong with logs just now; empty while nothing is."""
        found = self._troubles
        more = f"; and {len(found) - TROUBLES_TOLD} more" if len(found) > TROUBLES_TOLD else ""
        return "; ".join(found[:TROUBLES_TOLD]) + more

    def sources(self, spec: ServiceSpec, slot: Slot) -> Sequence[LogSource]:
        """Give the files of a slot's output."""
        return self._files(spec, slot, None)

    def position(self, spec: ServiceSpec, slot: Slot) -> tuple[int, ...]:
        """Give how many bytes were ever written to each file of a slot's output."""
        return tuple(self._logs.position(source) for source in self._files(spec, slot, None))

    def written(
        self, spec: ServiceSpec, slot: Slot, since: Sequence[int], limit: int = WORDS_BYTES
    ) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
        """Give what was written to each file since `position`, and the position behind that.

        Rotation does not change positions. Blocks for a read of the disk.
        """
        files = zip(self._files(spec, slot, None), since, strict=True)
        found = [self._logs.written(source, offset, limit) for source, offset in files]
        return tuple(data for data, _ in found), tuple(offset for _, offset in found)

    async def read(self, query: LogQuery, daemon: Daemon) -> AsyncIterator[LogLine]:
        """Give the lines that are asked for.

        Raises NotFoundError for a name or an instance that is none.
        """
        known(query.services, daemon.picture().services)
        if query.instance is not None and not query.daemon:
            self._know_instance(query.instance, query.services, daemon.picture())

        def sources() -> Sequence[LogSource]:
            return self._sources(daemon.picture(), query.services)

        async for line in self._logs.read(query, sources):
            yield line

    async def tail(self, name: ServiceName, daemon: Daemon) -> tuple[str, ...]:
        """Give the last lines of a service, or as many as can be had at once."""
        lines: list[str] = []
        query = LogQuery(services=(name,), lines=TAIL_LINES, level=Level.TRACE)
        try:
            async with asyncio.timeout(TAIL_WITHIN_S):
                async for line in self.read(query, daemon):
                    lines.append(line.raw or line.message)  # noqa: PERF401 - what came in time
        except (WeaverError, TimeoutError):
            pass
        return tuple(lines)

    def last_words(self, spec: ServiceSpec, slot: Slot) -> str:
        """Give the end of a slot's log as it is on disk; blocks for a read of a few pages."""
        source = self._files(spec, slot, None)[-1]
        end = self._logs.position(source)
        words, _ = self._logs.written(source, max(0, end - WORDS_BYTES), WORDS_BYTES)
        return words.decode("utf-8", "replace")

    def files(self, specs: Iterable[ServiceSpec]) -> frozenset[str]:
        """Give every file that these services write their output to."""
        return frozenset(
            source.path
            for spec in specs
            for index in range(spec.instances)
            for source in self._files(spec, Slot(service=spec.name, index=index), None)
        )

    def _of_slots(self, situation: Situation) -> list[LogSource]:
        """Give the logs of all slots: what has ended may have left something to rotate."""
        return [
            source
            for name, memory in situation.services.items()
            for record in situation.slots.get(name, {}).values()
            for pid in [record.process.id.pid if record.process is not None else None]
            for source in self._files(memory.spec, record.memory.slot, pid)
        ]

    def _know_instance(self, index: int, names: Sequence[ServiceName], picture: Picture) -> None:
        """See that one of these services has such an instance. Raises NotFoundError."""
        found = self._sources(picture, names)
        if any(source.index == index for source in found):
            return
        there = sorted({source.index for source in found})
        has_none = f"{names[0]} has no" if len(names) == 1 else "none of these services has an"
        span = f"0 to {there[-1]}" if len(there) > 1 else "0"
        mend = f"--instance takes {span} here" if there else "weaver status shows what there is"
        raise NotFoundError(f"{has_none} instance {index}", mend=mend)

    def _sources(self, picture: Picture, names: Sequence[ServiceName]) -> list[LogSource]:
        chosen = names or picture.services
        return [
            source
            for name in chosen
            if name in picture.services
            for source in self._of(picture.services[name])
        ]

    def _of(self, status: ServiceStatus) -> list[LogSource]:
        found = [
            source
            for shown in status.slots
            for pid in [shown.process.id.pid if shown.process else None]
            for source in self._files(status.spec, shown.slot, pid)
        ]
        if status.spec is None:
            return found
        unseen = range(0)
        if not found:  # wanted stopped: its slots are not shown, their logs are still there
            unseen = range(status.spec.instances)
        elif status.rollout is not None:  # what helped out may have told why it could not go on
            unseen = range(status.spec.instances, status.spec.instances + status.spec.surge)
        shown_slots = {shown.slot.index for shown in status.slots}
        slots = [Slot(service=status.name, index=i) for i in unseen if i not in shown_slots]
        return found + [source for slot in slots for source in self._files(status.spec, slot, None)]

    def _files(
        self, spec: ServiceSpec | None, slot: Slot, pid: int | None
    ) -> tuple[LogSource, ...]:
        """Give the file that a slot writes, or both."""
        out = LogSource(
            service=slot.service,
            index=slot.index,
            instance=str(slot),
            path=log_file(spec, slot, self._folders),
            version=spec.version if spec else "",
            pid=pid,
            least=spec.log_level if spec else "",
            rotation=spec.log_rotation if spec else None,
        )
        error = error_file(spec, slot, self._folders)
        if not error:
            return (out,)
        return (replace(out, stream="stdout"), replace(out, path=error, stream="stderr"))


def _happening(news: LogNews) -> Happening:
    source = news.source
    if source is None:
        return Happening(kind=news.kind, reason=news.reason, data=dict(news.data))
    slot = Slot(service=source.service, index=source.index)
    return Happening(
        kind=news.kind, service=source.service, slot=slot, reason=news.reason, data=dict(news.data)
    )
