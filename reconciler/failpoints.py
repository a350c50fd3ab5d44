"""Named points at which a test can make this very process die, fail, stop or wait.

Each side effect of daemon and holder has one before it and one after it. They do nothing unless
two variables are set: `WEAVER_FAILPOINT=NAME:ACTION`, or several with commas between them, and
`WEAVER_FAILPOINT_DIR`, a folder in which each point leaves a file of its name as it strikes. That
folder is the explicit switch, and it makes a point strike once only, whichever process of those
that inherit the variables is the first: a daemon that is started again is not killed again.
`NAME@3:ACTION` strikes at the third time that a process passes the point.

Actions: `kill` (SIGKILL), `stop` (SIGSTOP), `raise` (EIO), `sleep:SECONDS`.
"""

from __future__ import annotations

import errno
import os
import signal

_armed: dict[str, str] = {}
_passes: dict[str, int] = {}
"""How often each point that is switched on is still passed before it strikes."""


def arm(text: str, folder: str) -> None:
    """Switch points on as the two variables do; an empty text switches all off."""
    global _folder  # noqa: PLW0603 - a process is armed once, as it begins
    _folder = folder
    _armed.clear()
    for part in text.split(",") if folder else ():
        place, _, action = part.partition(":")
        name, _, count = place.partition("@")
        if name:
            _armed[name], _passes[name] = action, int(count or 1) - 1


_folder = ""
arm(os.environ.get("WEAVER_FAILPOINT", ""), os.environ.get("WEAVER_FAILPOINT_DIR", ""))


def failpoint(name: str) -> None:
    """Go on, unless a test has switched this point on."""
    if _armed and name in _armed:
        _passes[name] -= 1
        if _passes[name] < 0:
            _strike(name, *_armed[name].split(":"))


def _strike(name: str, action: str, seconds: str = "0") -> None:
    try:
        os.close(os.open(f"{_folder}/{name}", os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
    except FileExistsError:
        return
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "raise":
        raise OSError(errno.EIO, f"failpoint {name}")
    elif action == "sleep":
        # Imported in need only: the holder is small.
        import time

        time.sleep(float(seconds))
    else:
        raise ValueError(f"a failpoint cannot {action!r}: kill, stop, raise or sleep:SECONDS")
