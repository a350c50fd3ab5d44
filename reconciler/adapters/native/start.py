"""Reach the holder of a directory, and start one where none answers."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from reconciler.failpoints import failpoint, own_switch
from reconciler.holder import wire
from reconciler.ports import HostError

START_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 5.0
"""How long a holder that somebody else is starting may take until it answers."""
RETRY_S = 0.02
PROGRAM = Path(wire.__file__).with_name("__main__.py")
_HELD = 3
_FILES, _MOST_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
"""What we were given, which is what services shall get."""


def allow_many_files() -> None:
    """Let this process open a descriptor for each service and more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_FILES, _MOST_FILES))


def start_holder(directory: Path, state: Path) -> None:
    """Start a detached holder and return once it answers; one that is there already is fine.

    It gets nothing of ours: no descriptor, no terminal, no variable.
    """
    command = [sys.executable, "-I", "-S", str(PROGRAM), str(directory), str(state)]
    command.append(str(_FILES))
    # A Python that was built with a shared library may not find it elsewhere.
    env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    env |= own_switch()
    try:
        failpoint("daemon.holder.before")
        done = subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise HostError(f"cannot start the holder of {directory}: {error}") from error
    failpoint("daemon.holder.started")
    if done.returncode not in (0, _HELD):
        words = done.stderr.decode(errors="replace").strip()
        last = words.splitlines()[-1] if words else f"it exited with {done.returncode}"
        raise HostError(
            f"cannot start the holder of {directory}: {last}",
            mend=f"see {state / 'holder.log'}",
        )


def reach_holder(directory: Path, state: Path) -> socket.socket:
    """Connect to the holder of a directory, starting one if none answers."""
    sock = _connect(directory)
    if sock is None:
        start_holder(directory, state)
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while (sock := _connect(directory)) is None:
            if time.monotonic() > deadline:
                raise HostError(f"the holder of {directory} does not answer")
            time.sleep(RETRY_S)
    if not wire.is_trusted(sock):
        sock.close()
        raise HostError(
            f"the holder of {directory} is another user's",
            mend="find who has the socket: ss -xlp | grep weaver-holder",
        )
    return sock


def say_goodbye(directory: Path) -> None:
    """Leave a holder that we have no connection to, if there is one, so that it misses nobody."""
    with suppress(HostError, OSError, wire.WireError):
        sock = _connect(directory)
        if sock is not None:
            with sock:
                wire.send(sock, {"do": "goodbye", "serial": 1})
                wire.receive(sock)


def _connect(directory: Path) -> socket.socket | None:
    sock = wire.open_socket()
    sock.settimeout(ANSWER_TIMEOUT_S)
    try:
        sock.connect(wire.address(str(directory)))
    except ConnectionRefusedError:
        sock.close()
        return None
    except OSError as error:
        sock.close()
        raise HostError(f"cannot reach the holder of {directory}: {error.strerror}") from error
    return sock
