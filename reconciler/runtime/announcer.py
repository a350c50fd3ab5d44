"""Tell whoever supervises the daemon how it is, as systemd wants to hear it (sd_notify)."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress

NAMES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Announcer:
    """Speaks to the socket that the environment names; silent where it names none.

    The variables are taken away: nothing that the daemon starts shall speak in its name.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._environment = environment
        self._taken = {name: environment.pop(name) for name in NAMES if name in environment}
        self._address = self._taken.get("NOTIFY_SOCKET", "")

    def ready(self) -> None:
        """Say that the daemon answers."""
        self._say(f"READY=1\nMAINPID={os.getpid()}\nSTATUS=runs")

    def stopping(self) -> None:
        """Say that it is about to end."""
        self._say("STOPPING=1\nSTATUS=stops services in order")

    def hand_over(self) -> None:
        """Say that the program is replaced, and leave the variables for the next one."""
        micros = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._say(f"RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=is being replaced")
        self._environment.update(self._taken)

    async def keep_alive(self) -> None:
        """Give a sign of life twice in the time after which it would be missed.

        It comes from the loop that does everything else: while that is blocked, there is none.
        """
        given = self._taken.get("WATCHDOG_USEC", "")
        whose = self._taken.get("WATCHDOG_PID", str(os.getpid()))
        if not given.isdigit() or not int(given) or whose != str(os.getpid()):
            return
        while True:
            self._say("WATCHDOG=1")
            await asyncio.sleep(int(given) / 2 / 1e6)

    def _say(self, text: str) -> None:
        if not self._address:
            return
        path = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            # A supervisor that does not read must not stop us.
            sock.setblocking(False)
            sock.sendto(text.encode(), path)
