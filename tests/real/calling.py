"""Somebody who calls a port all the time, as people do while it is worked on."""

from __future__ import annotations

import socket
import threading
from collections import Counter

from tests.waiting import until


class Caller:
    """Connects to a port again and again, and counts what comes of it."""

    def __init__(self, port: int) -> None:
        self.counts: Counter[str] = Counter()
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def _call(self) -> None:
        while not self._is_over.wait(0.01):
            self.counts[self._once()] += 1

    def _once(self) -> str:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 10) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return "served" if sock.recv(64).startswith(b"HTTP/1.1 200") else "dropped"
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "dropped"

    def is_served_again(self) -> None:
        """Wait until it was served a few times more."""
        goal = self.counts["served"] + 3
        until(lambda: self.counts["served"] >= goal, 20, message=f"{self._port}: {self.counts}")

    def stop(self) -> None:
        self._is_over.set()
        self._thread.join(15)
