"""Match what was answered against a pattern, with a limit of time, in a process of its own.

A pattern may take for ever, and nothing in Python that matches one lets others go on meanwhile. So
a small process does it, started when it is needed and ended when it was not for a while. A pattern
that took too long has to go to a second one from then on, so that no other waits for it again.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import sys
from collections import OrderedDict
from contextlib import suppress

from reconciler.adapters.checks import match_child
from reconciler.adapters.checks.place import ProbeError
from reconciler.model.health import CheckFault

MATCH_S = match_child.MATCH_S
ANSWER_S = 2.0
"""What an answer may take; the child gives up a match by itself long before."""
IDLE_S = 60.0
SLOW_PATTERNS = 1000
"""Patterns that are remembered as slow."""
_PLAIN = re.compile(r"[\w\s,:;\"'<>=/@#%&!~`-]*")
"""Text that means itself, and needs nobody to match it."""


class Matcher:
    """Tells whether a text contains a pattern."""

    def __init__(self) -> None:
        self._quick, self._patient = _Lane(), _Lane()
        self._slow: OrderedDict[str, None] = OrderedDict()

    async def require(self, pattern: str, text: bytes, name: str) -> None:
        """Raise ProbeError unless a text contains the pattern; `name` is that of its field."""
        if _PLAIN.fullmatch(pattern):
            found = pattern in text.decode("utf-8", "replace")
        else:
            found = await self._matches(pattern, text, name)
        if not found:
            raise ProbeError(f"it does not contain `{name}`: {_shown(text)}", CheckFault.BODY)

    async def close(self) -> None:
        """End the processes."""
        self._quick.close()
        self._patient.close()

    async def _matches(self, pattern: str, text: bytes, name: str) -> bool:
        lane = self._patient if pattern in self._slow else self._quick
        answer = await lane.ask(pattern, text)
        if answer == match_child.FOUND:
            return True
        if answer == match_child.MISSING:
            return False
        if answer == match_child.TOO_LONG:
            self._slow[pattern] = None
            if len(self._slow) > SLOW_PATTERNS:
                self._slow.popitem(last=False)
            answer = f"took longer than {MATCH_S:g} s; write it without a repetition in another"
        raise ProbeError(f"`{name}` {answer}", CheckFault.BODY)


class _Lane:
    """One child, which is asked one thing after the other."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._end: socket.socket | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def ask(self, pattern: str, text: bytes) -> str:
        """Give the child's answer, whatever becomes of it."""
        async with self._turn:
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await self._exchange(pattern, text)
            except (TimeoutError, OSError):
                self.close()
                return "took too long or too much memory"
            except asyncio.CancelledError:
                # What it still answers is no answer to the next question.
                self.close()
                raise

    def close(self) -> None:
        """End the child."""
        if self._idle is not None:
            self._idle.cancel()
        if self._end is not None:
            self._end.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._child = self._end = self._idle = None

    async def _exchange(self, pattern: str, text: bytes) -> str:
        end = self._end or self._start()
        if self._idle is not None:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(end, pattern.encode() + b"\0" + text)
        answer = await loop.sock_recv(end, match_child.MESSAGE_BYTES)
        if not answer:
            raise ConnectionResetError
        self._idle = loop.call_later(IDLE_S, self.close)
        return answer.decode("utf-8", "replace")

    def _start(self) -> socket.socket:
        end, its_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        end.setblocking(False)
        with its_end:
            try:
                self._child = subprocess.Popen(
                    [sys.executable, "-I", "-S", match_child.__file__],
                    stdin=its_end.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            except OSError:
                end.close()
                raise
        self._end = end
        return end


def _shown(text: bytes) -> str:
    words = " ".join(text[:400].decode("utf-8", "replace").split())
    with suppress(ValueError):
        words = json.dumps(words[:60], ensure_ascii=False)
    return words if text else "it is empty"
