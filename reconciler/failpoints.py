"""Named points at which a test can make this very process die, fail, stop or wait.

Each side effect of daemon and holder has one before it and one after it. They do nothing unless
two variables are set: `WEAVER_FAILPOINT=NAME:ACTION`, or several with commas between them, and
`WEAVER_FAILPOINT_DIR`, a folder in which each point leaves a file of its name as it strikes, with
the pid of whom. That folder is the explicit switch, and it makes a point strike once only,
whichever process of those that inherit the variables is the first: a daemon that is started again
is not killed again.
`NAME@3:ACTION` strikes at the third time that a process passes the point. `WEAVER_FAILPOINT=@FILE`
names a file that says so instead, and is read at each pass: what runs is armed for the next blow.

docs/failpoints.md lists all points; a test holds the source to it.

Actions: `kill` (SIGKILL), `stop` (SIGSTOP), `raise` (EIO), `sleep:SECONDS`.
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress

SWITCH, FOLDER = "WEAVER_FAILPOINT", "WEAVER_FAILPOINT_DIR"

_armed: dict[str, str] = {}
_passes: dict[str, int] = {}
"""How often each point that is switched on is still passed before it strikes."""
_folder = ""
_file = ""
_text = ""


def arm(text: str, folder: str) -> None:
    """Switch points on as the two variables do; an empty text switches all off."""
    global _folder, _file  # noqa: PLW0603 - a process is armed once, as it begins
    if text and not folder:
        raise SystemExit(
            f"cannot begin: {SWITCH} makes a program fail on purpose, in tests, and needs a folder "
            f"in {FOLDER}; unset it"
        )
    _folder = folder
    _file = text[1:] if text.startswith("@") else ""
    _switch_on("" if _file else text)


def own_switch() -> dict[str, str]:
    """Give the two variables, where they are set, for a process of ours; services never get them.

    >>> own_switch()
    {}
    """
    return {name: os.environ[name] for name in (SWITCH, FOLDER) if name in os.environ}


def failpoint(name: str) -> None:
    """Go on, unless a test has switched this point on."""
    if _armed:
        _pass(name)


def _switch_on(text: str) -> None:
    """Switch these points on and no others."""
    global _text  # noqa: PLW0603 - see `arm`
    _text = text
    _armed.clear()
    _passes.clear()
    for part in text.split(",") if text else ():
        place, _, action = part.partition(":")
        name, _, count = place.partition("@")
        _armed[name], _passes[name] = action, int(count or 1) - 1
    if _file:
        # Never empty, since the file may name a point later.
        _armed[""] = ""


def _pass(name: str) -> None:
    if _file:
        with suppress(FileNotFoundError), open(_file) as told:  # noqa: PTH123 - no pathlib in the holder
            # It may have named nothing when we began.
            if (text := told.read()) != _text:
                _switch_on(text)
    if name in _armed:
        _passes[name] -= 1
        if _passes[name] < 0:
            _strike(name, *_armed[name].split(":"))


def _strike(name: str, action: str, seconds: str = "0") -> None:
    try:
        note = os.open(f"{_folder}/{name}", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC)
    except FileExistsError:
        return
    os.write(note, b"%d\n" % os.getpid())
    os.close(note)
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


arm(os.environ.get(SWITCH, ""), os.environ.get(FOLDER, ""))
