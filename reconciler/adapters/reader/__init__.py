"""Read manifests: for the daemon through a worker process, for the command line in this one."""

from __future__ import annotations

from reconciler.adapters.reader.file_reader import FileReader
from reconciler.adapters.reader.gathered import Gathered
from reconciler.adapters.reader.offline import OfflineReader

__all__ = ["FileReader", "Gathered", "OfflineReader"]
