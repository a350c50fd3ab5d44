"""Say what a start may use, and whether the host has that much memory just now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from reconciler.holder.hierarchy import UNIFIED, own_groups
from reconciler.model.spec import MemoryAction, ServiceSpec
from reconciler.model.units import amount

NO_LIMIT = 1 << 60
"""Version 1 writes a number above this where there is no limit."""
_CEILINGS = {
    UNIFIED: ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""By hierarchy: the files of limit and use, and what of the use the kernel gives up for others."""


def resources(spec: ServiceSpec) -> dict[str, Any]:
    """Give the limits that the holder shall set; what is only told of is no limit."""
    is_limit = spec.memory_action is MemoryAction.RESTART
    limits = {
        "memory": spec.max_memory if is_limit else None,
        "cpu": spec.max_cpu,
        "pids": spec.pids_max,
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def shortage(spec: ServiceSpec, proc: str = "/proc") -> str:
    """Say that the host has less memory available than a service may use; empty if it has."""
    if spec.max_memory is None:
        return ""
    available = available_memory(proc)
    if available is None or available >= spec.max_memory:
        return ""
    return f"needs {amount(spec.max_memory)}, {amount(available)} available"


def available_memory(proc: str = "/proc") -> int | None:
    """Give the bytes that new processes may have: of the host, and of the groups that we are in."""
    found = [*_of_the_host(proc)]
    groups = own_groups(f"{proc}/self")
    for hierarchy, files in _CEILINGS.items():
        if hierarchy in groups:
            found += _beneath_ceilings(Path(groups[hierarchy]), files)
    return min(found, default=None)


def _of_the_host(proc: str) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for line in Path(proc, "meminfo").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name == "MemAvailable":
                yield int(rest.split()[0]) * 1024


def _beneath_ceilings(group: Path, files: tuple[str, str, str]) -> Iterator[int]:
    """Yield what each group from ours up to the root leaves."""
    limit_file, used_file, spare = files
    while (group / "cgroup.procs").exists():
        # The root of version 2 has no such files.
        with contextlib.suppress(OSError, ValueError):
            limit = int((group / limit_file).read_text())
            if limit < NO_LIMIT:
                used = int((group / used_file).read_text())
                yield max(0, limit - used + _counts(group / "memory.stat").get(spare, 0))
        group = group.parent


def _counts(path: Path) -> Mapping[str, int]:
    words = (line.split() for line in path.read_text().splitlines())
    return {name: int(count) for name, count in words}
