"""The four settings that processes are stopped and adopted in, on whatever host tests run.

`v2`: control groups of version 2 are mounted (those of version 1 may be too); `v1`: only those of
version 1 are; `none`: none are mounted; `user`: whoever holds the processes is an unprivileged
user, to whom no control group was given.

A program runs in a setting by `command`, in a folder made by `place`. For tests that use the `rig`
of tests/holder, `in_every_setting` is all they need.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

AS_IT_IS = "as it is"
"""The host's own setting, for tests to which it does not matter."""
SETTINGS = ("v2", "v1", "none", "user")
UNSEEN = "unseen"
"""`user`, and /proc shows only processes of that user."""
UNGROUPED = tuple(setting for setting in SETTINGS if setting != "v2")
"""The settings in which the processes of a run are found by session, group and mark."""
NOBODY = 65534

in_every_setting = pytest.mark.parametrize("rig", SETTINGS, indirect=True)
without_a_leaf = pytest.mark.parametrize("rig", UNGROUPED, indirect=True)
with_a_leaf = pytest.mark.parametrize("rig", ["v2"], indirect=True)

_HIDE = """
grep -E ' - ({kinds}) ' /proc/self/mountinfo | cut -d ' ' -f 5 | tac | while read point; do
    umount -l "$point" || exit 1
done
exec "$@"
"""
_HIDDEN = {"v1": "cgroup2", "none": "cgroup2?"}
_OPEN = """
mount --bind "$2" /mnt
mount -t tmpfs -o mode=755 none "$1"
mkdir -p "$2"
mount --bind /mnt "$2"
umount /mnt
shift 2
exec "$@"
"""


def command(setting: str, argv: Sequence[str]) -> list[str]:
    """Give the words that run a program in a setting; skips the test where that cannot be."""
    if setting == "v2" and not has_v2():
        pytest.skip("control groups of version 2 are not to be had here")
    if setting in _HIDDEN:
        _need_root()
        hide = _HIDE.format(kinds=_HIDDEN[setting])
        return ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", hide, "sh", *argv]
    identity = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    if setting == "user" and os.geteuid() == 0:
        return [*_with_python(), "/usr/bin/setpriv", *identity, *argv]
    if setting == UNSEEN:
        _need_root()
        hide = 'mount -t proc -o hidepid=2 proc /proc && exec /usr/bin/setpriv "$@"'
        return ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", hide, "sh", *identity, *argv]
    return [*argv]


@contextmanager
def place(setting: str, tmp_path: Path) -> Iterator[Path]:
    """Give an empty folder that belongs to whoever runs programs in a setting."""
    if setting not in ("user", UNSEEN) or os.geteuid() != 0:
        yield tmp_path
        return
    # The folders of pytest are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="weaver-test-", dir="/tmp"))
    try:
        os.chown(folder, NOBODY, NOBODY)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def open_place() -> Iterator[Path]:
    """Give an empty folder of our own that everybody may enter: those of pytest are closed."""
    folder = Path(tempfile.mkdtemp(prefix="weaver-test-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


@cache
def has_v2() -> bool:
    """Tell whether we may make control groups of version 2 beneath our own."""
    from reconciler.holder.hierarchy import UNIFIED, own_groups

    own = own_groups().get(UNIFIED)
    return own is not None and os.access(own, os.W_OK)


def _with_python() -> list[str]:
    """Give the words before a program by which other users may run our Python.

    One that was installed in the home of root can be started for them, but not by them.
    """
    home = Path(sys.base_prefix)
    closed = [path for path in home.parents if not path.stat().st_mode & 0o001]
    if not closed:
        return []
    _need_root()
    return ["/usr/bin/unshare", "-m", "/bin/sh", "-ec", _OPEN, "sh", str(closed[-1]), str(home)]


def _need_root() -> None:
    if (
        os.geteuid() != 0
        or subprocess.run(["/usr/bin/unshare", "-m", "true"], check=False).returncode
    ):
        pytest.skip("only root can unmount control groups for a program")
