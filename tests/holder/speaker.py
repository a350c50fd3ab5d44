"""A plain client of the notify protocol, as a service that tests start: it does what it is told.

Each argument is a step: `say TEXT`, `store NAME`, `barrier`, `hold FILE` ... see `STEPS`.
"""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ADDRESS = os.environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)


def tell(*words: object) -> None:
    """Write a line to the log."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def send(data: bytes, fds: list[int] | None = None) -> None:
    """Send one datagram, with descriptors beside it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds or []))]
        sock.sendmsg([data], rights if fds else [], 0, ADDRESS)


def say(text: str) -> None:
    """Say something; a backslash and an n in the argument begin a line."""
    send(text.replace("\\n", "\n").replace("SELF", str(os.getpid())).encode())


def store(name: str) -> None:
    """Have a listening socket of a random port kept."""
    sock = socket.create_server(("127.0.0.1", 0))
    tell("port", sock.getsockname()[1])
    send(f"FDSTORE=1\nFDNAME={name}".encode(), [sock.fileno()])


def store_pipe(name: str) -> None:
    """Have the end of a pipe kept of which the other end is closed."""
    read, write = os.pipe()
    send(f"FDSTORE=1\nFDNAME={name}".encode(), [read])
    os.close(write)


def barrier(seconds: str) -> None:
    """Wait until all that was said has been heard."""
    read, write = os.pipe()
    send(b"BARRIER=1", [write])
    os.close(write)
    os.set_blocking(read, True)
    began = time.monotonic()
    os.read(read, 1)
    taken = time.monotonic() - began
    tell("heard" if taken < float(seconds) else f"heard after {taken}")


def flood(count: str) -> None:
    """Say so many things, and tell when all were taken."""
    for number in range(int(count)):
        send(b"STATUS=%d" % number)
    tell("flooded")


def abuse(count: str) -> None:
    """Send what makes no sense, with descriptors beside it."""
    null = os.open(os.devnull, os.O_RDONLY)
    nonsense = (
        b"",
        b"\0" * 100,
        b"\xff\xfe=\x80",
        b"READY=1\0STATUS=no",
        b"STATUS=" + b"x" * 8000,
        b"=" * 4000,
        b"WATCHDOG_USEC=-1\nEXTEND_TIMEOUT_USEC=99999999999999999999999\nMAINPID=1\nERRNO=x",
        b"FDSTOREREMOVE=1",
        b"BARRIER=1",
    )
    for _ in range(int(count)):
        for data in nonsense:
            send(data, [null] * 60)
            send(data)
    tell("abused")


def show(name: str) -> None:
    """Print a variable."""
    tell(f"{name}={os.environ.get(name)}")


def check(_: str) -> None:
    """Print the names under which the first descriptor was handed back, and its port."""
    sock = socket.socket(fileno=3)
    tell("back", os.environ["LISTEN_FDNAMES"], sock.getsockname()[1])


def fork(steps: str) -> None:
    """Let a child go on, and end."""
    if os.fork():
        return
    for step in steps.split(";"):
        do(step)
    signal.pause()


def wait(path: str) -> None:
    """Go on once a file is there."""
    while not Path(path).exists():
        select.select([], [], [], 0.01)


def run(command: str) -> None:
    """Run a program."""
    done = subprocess.run(command, shell=True, check=False)
    tell("ran", done.returncode)


STEPS: dict[str, Callable[[str], None]] = {
    "say": say,
    "store": store,
    "store-pipe": store_pipe,
    "barrier": barrier,
    "flood": flood,
    "abuse": abuse,
    "show": show,
    "check": check,
    "fork": fork,
    "wait": wait,
    "run": run,
    "exit": lambda code: os._exit(int(code)),
    "stay": lambda _: signal.pause(),
}


def do(step: str) -> None:
    """Do one step."""
    verb, _, rest = step.partition(" ")
    STEPS[verb](rest)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        do(argument)
