"""Folders on file systems that take bytes off the front of a file in three ways, or not at all."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconciler.adapters.logs import fallocate

DISKS = ("collapses", "punches", "empties")
"""ext4 or xfs; tmpfs; ramfs, on which a file can only be emptied."""


@contextmanager
def disk(kind: str, folder: Path, size: str = "64m") -> Iterator[Path]:
    """Give a folder on such a file system; skip the test where there is none."""
    if kind == "collapses":
        folder.mkdir()
        if not collapses(folder):
            pytest.skip("the temporary folder is on a file system that does not collapse files")
        yield folder
        return
    with mounted("tmpfs" if kind == "punches" else "ramfs", folder, size) as found:
        yield found


@contextmanager
def mounted(kind: str, folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system on a folder; skip the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", kind, "-o", f"size={size}", kind, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount {kind} here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def collapses(folder: Path) -> bool:
    """Tell whether files can be collapsed in a folder."""
    path = folder / "try"
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.write(fd, b"x" * 8192)
        return fallocate.collapse(fd, 4096)
    finally:
        os.close(fd)
        path.unlink()
