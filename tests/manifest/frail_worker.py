"""A worker that some files are too much for."""

from __future__ import annotations

import os
import signal
import sys

from reconciler.manifest import worker
from reconciler.manifest.config import Config
from reconciler.manifest.read import read_manifest
from reconciler.manifest.result import FileResult


def frail(file: str, data: bytes, config: Config) -> FileResult:
    """Read a file, unless it asks for trouble."""
    if b"# KILL" in data:
        os.kill(os.getpid(), signal.SIGKILL)
    if b"# EAT" in data:
        return FileResult(file=str(bytearray(1 << 32)))
    while b"# SPIN" in data:
        pass
    return read_manifest(file, data, config)


if __name__ == "__main__":
    vars(worker)["read_manifest"] = frail
    worker.CPU_S_PER_REQUEST = 1
    sys.exit(worker.main())
