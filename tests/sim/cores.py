"""The processes that the simulator plays in: one for each core, behind all other work."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

NICE = 10
"""Beside a simulation, tests wait for real processes: those go first, and the rest is ours."""
LIBRARIES = ["hypothesis", "jsonschema", "msgspec", "ruamel.yaml", "sqlite_utils"]
"""What each process would load first; nothing of ours, for a bug is planted before that."""


def cores() -> int:
    """Give how many processes play at a time."""
    return os.cpu_count() or 1


def processes(*, each_task_afresh: bool = False) -> ProcessPoolExecutor:
    """Give a pool of such processes. Whoever has threads, as a test process has, must not fork."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    most = 1 if each_task_afresh else None
    return ProcessPoolExecutor(cores(), context, os.nice, (NICE,), max_tasks_per_child=most)
