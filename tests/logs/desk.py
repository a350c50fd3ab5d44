"""A folder of logs, for tests of who keeps them."""

from __future__ import annotations

from pathlib import Path

from reconciler.adapters.logs.keeper import Keeper
from reconciler.adapters.logs.stream import Streams
from reconciler.model.log import LogRotation, LogSource
from tests.logs.rotating import source_of

DAY = 86_400.0
FULL = LogRotation(max_size=65536, max_files=3, compress=False)


class Desk:
    """A folder of logs, whoever keeps them, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = 1_700_000_000.0
        self.keeper = Keeper(Streams(), lambda: self.at, folder)
        self.sources: list[LogSource] = []

    def log(self, rotation: LogRotation = FULL, path: Path | None = None) -> Path:
        log = path or self.folder / "web.log"
        self.sources.append(source_of(log, rotation))
        return log

    def look(self) -> float:
        self.keeper.attend(self.sources)
        return self.keeper.look(at_all=True)

    def rotated(self) -> list[str]:
        return sorted(path.name for path in self.folder.rglob("*.log.0*"))

    def told(self) -> list[tuple[str, str]]:
        return [(news.kind, news.reason) for news in self.keeper.news()]
