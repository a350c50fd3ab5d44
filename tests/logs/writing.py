"""Log files for tests, and a reader of them whose clock the test owns."""

from __future__ import annotations

import asyncio
from pathlib import Path

from reconciler.adapters.logs.files import LogFiles
from reconciler.model.log import LogLine, LogQuery, LogSource
from reconciler.model.units import Nanos, ServiceName

START = 1_700_000_000.0


class WallClock:
    """A wall clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> Nanos:
        return Nanos(round((self.at - START) * 1e9))

    def wall(self) -> float:
        return self.at

    def boot(self) -> str:
        return "boot"


class Folder:
    """A folder of logs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = WallClock()
        self.files = LogFiles(root, root / "daemon.log", self.clock)
        self.sources: list[LogSource] = []

    def source(self, name: str = "web", index: int = 0, *, path: Path | None = None) -> LogSource:
        """Give a source, known from now on to readers that ask."""
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        source = LogSource(
            service=ServiceName(name),
            index=index,
            instance=f"{name}-{index}",
            path=str(path or folder / f"{index}.log"),
            version="1.2",
            pid=4711,
        )
        self.sources.append(source)
        return source

    def write(self, source: LogSource, text: str | bytes, at: float | None = None) -> None:
        """Append, as the service would; at a time counted from the start, seen by a look."""
        data = text.encode() if isinstance(text, str) else text
        with Path(source.path).open("ab") as file:
            file.write(data)
        if at is not None:
            self.look(at)

    def look(self, at: float) -> None:
        self.clock.at = START + at
        self.files.look(self.sources)

    def start(self, source: LogSource, at: float) -> None:
        self.clock.at = START + at
        self.files.mark_start(source)

    def read(self, **query: object) -> list[LogLine]:
        """Read to the end."""
        return asyncio.run(self.collect(LogQuery(**query)))  # type: ignore[arg-type]  # fields, by name

    async def collect(self, query: LogQuery) -> list[LogLine]:
        return [line async for line in self.files.read(query, lambda: self.sources)]

    def texts(self, **query: object) -> list[str]:
        return [line.raw for line in self.read(**query)]
