"""Match lines against a person's pattern, with a deadline, in a process of its own."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence

from reconciler.adapters.logs import grep_child
from reconciler.ports import ManifestError

DEADLINE_S = 5.0
"""For one lot of lines; the whole search may take as long as the logs are long."""

PATTERN_MAX = 1_000


class Matcher:
    """One pattern and the child that knows it. One thread uses it; any may close it."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > PATTERN_MAX:
            raise ManifestError(f"cannot use a pattern of over {PATTERN_MAX} characters")
        self._pattern = pattern
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", grep_child.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        problem = self._ask(pattern)
        if problem:
            self.close()
            raise ManifestError(
                f"cannot use the pattern {pattern!r}: {problem}",
                mend="it is a regular expression: put a backslash before signs meant as such",
            )

    def __call__(self, texts: Sequence[str]) -> list[bool]:
        """Tell for each text whether it contains the pattern."""
        answer = self._ask(list(texts))
        return [digit == "1" for digit in answer]

    def close(self) -> None:
        """End the child; a question under way fails."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            if stream is not None:
                stream.close()

    def _ask(self, message: object) -> str:
        """Send a message and give the answer; ManifestError where it takes too long."""
        deadline = time.monotonic() + DEADLINE_S
        try:
            self._send(message, deadline)
            size = grep_child.LENGTH.unpack(self._receive(grep_child.LENGTH.size, deadline))[0]
            return str(json.loads(self._receive(size, deadline)))
        except (TimeoutError, BrokenPipeError, EOFError) as error:
            raise ManifestError(
                f"cannot search for {self._pattern!r}: it takes too long or too much memory",
                mend="a simpler pattern, without a repetition inside a repetition",
            ) from error

    def _send(self, message: object, deadline: float) -> None:
        data = json.dumps(message).encode()
        left = memoryview(grep_child.LENGTH.pack(len(data)) + data)
        assert self._child.stdin is not None
        fd = self._child.stdin.fileno()
        os.set_blocking(fd, False)
        while left:
            self._wait([], [fd], deadline)
            left = left[os.write(fd, left) :]

    def _receive(self, size: int, deadline: float) -> bytes:
        assert self._child.stdout is not None
        fd, data = self._child.stdout.fileno(), b""
        while len(data) < size:
            self._wait([fd], [], deadline)
            part = os.read(fd, size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def _wait(self, readable: list[int], writable: list[int], deadline: float) -> None:
        poller = select.poll()
        for fd in readable:
            poller.register(fd, select.POLLIN)
        for fd in writable:
            poller.register(fd, select.POLLOUT)
        if not poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError
