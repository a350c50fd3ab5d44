"""Find our own group in each hierarchy of control groups, as the mounts show it.

A host has one hierarchy of version 2, several of version 1 with a controller or more each, or both:
then processes are killed by version 2 and limited by version 1.
"""

from __future__ import annotations

import os

LIMITED = ("memory", "cpu", "pids")
UNIFIED = ""
"""The name of the hierarchy of version 2."""


def own_groups(proc: str = "/proc/self") -> dict[str, str]:
    """Give the folder of our own group: of `UNIFIED`, and of each controller of version 1.

    Empty where nothing of the kind is mounted or may be read.
    """
    try:
        with open(f"{proc}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            mounts = file.read().splitlines()
        with open(f"{proc}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            groups = file.read().splitlines()
    except OSError:
        return {}
    return folders(mounts, groups)


def folders(mounts: list[str], groups: list[str]) -> dict[str, str]:
    """Match the lines of mountinfo with those of /proc/self/cgroup."""
    paths = {}
    for line in groups:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    found: dict[str, str] = {}
    for line in mounts:
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        if kind not in ("cgroup", "cgroup2"):
            continue
        root, point = map(_plain, before.split(" ")[3:5])
        names = [UNIFIED] if kind == "cgroup2" else _controllers(options)
        for name in names:
            folder = _beneath(point, root, paths.get(name))
            if folder:
                found.setdefault(name, folder)
    return found


def _controllers(options: str) -> list[str]:
    words = options.rsplit(" ", maxsplit=1)[-1].split(",")
    return [name for name in LIMITED if name in words]


def _beneath(point: str, root: str, path: str | None) -> str:
    """Give where a group is, in a mount that shows the groups beneath `root`; empty if outside."""
    if path is None or ".." in path.split("/"):
        return ""
    prefix = root.rstrip("/")
    if path != root and not path.startswith(f"{prefix}/"):
        return ""
    folder = point + path[len(prefix) :].rstrip("/")
    return folder if os.path.isdir(folder) else ""


def _plain(text: str) -> str:
    """Read a path of mountinfo, which writes blanks and the like as octal numbers."""
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escaped, plain)
    return text
