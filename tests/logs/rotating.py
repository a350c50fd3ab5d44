"""A program for tests: rotates one log again and again, as a daemon does.

python rotating.py LOG MAX_SIZE MAX_FILES COMPRESS ROUNDS
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from reconciler.adapters.logs.keeper import Keeper
from reconciler.adapters.logs.stream import Streams
from reconciler.model.log import LogSource
from reconciler.model.spec import LogRotation
from reconciler.model.units import ServiceName


def source_of(log: Path, rotation: LogRotation) -> LogSource:
    """Give a source of a log."""
    name = ServiceName(log.stem)
    return LogSource(service=name, index=0, instance=f"{name}-0", path=str(log), rotation=rotation)


def main(log: str, max_size: str, max_files: str, compress: str, rounds: str) -> None:
    """Look so often, until what is there is rotated and compressed."""
    rotation = LogRotation(
        max_size=int(max_size), max_files=int(max_files), compress=compress == "yes"
    )
    keeper = Keeper(Streams(), time.time, Path(log).parent)
    keeper.attend([source_of(Path(log), rotation)])
    pause = threading.Event()
    left = int(rounds)
    while left > 0 or keeper.packer.is_busy:
        keeper.look(at_all=True)
        left -= 1
        pause.wait(0.002)
    for news in keeper.news():
        sys.stdout.write(f"{news.kind} {news.reason} {dict(news.data)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
