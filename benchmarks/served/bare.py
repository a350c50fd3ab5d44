"""Bind a socket, start servers on it, and for each line that is read end and start them again.

The least that any manager has to do: `python -m benchmarks.served.bare PORT FOLDER WORDS...`.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

INSTANCES = 3
BACKLOG = 4096
START_S = 30.0
STOP_S = 3.0
"""Some wait for ever for a connection to end."""
START = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); "
    "os.environ |= {'LISTEN_FDS': '1', 'LISTEN_PID': str(os.getpid())}; "
    "os.execvp(sys.argv[2], sys.argv[2:])"
)


def main() -> None:
    """Serve until there is nothing more to read."""
    port, folder, words = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    with socket.create_server(("127.0.0.1", port), backlog=BACKLOG) as listener:
        os.set_inheritable(listener.fileno(), True)
        running = _start(listener, folder, words)
        for _ in sys.stdin:
            _end(running)
            running = _start(listener, folder, words)
        _end(running)


def _start(
    listener: socket.socket, folder: Path, words: list[str]
) -> list[subprocess.Popen[bytes]]:
    """Start all, and return once each has said that it is ready."""
    command = [sys.executable, "-S", "-c", START, str(listener.fileno()), *words]
    started = []
    for number in range(INSTANCES):
        ready = folder / f"ready-{number}"
        ready.unlink(missing_ok=True)
        environment = {**os.environ, "READY_FILE": str(ready)}
        started.append(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False, env=environment)
        )
    deadline = time.monotonic() + START_S
    while len(list(folder.glob("ready-*"))) < INSTANCES and time.monotonic() < deadline:
        time.sleep(0.01)
    print("serving", flush=True)
    return started


def _end(running: list[subprocess.Popen[bytes]]) -> None:
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
