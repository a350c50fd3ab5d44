"""Let forges say that there is news: the port of `git.webhook`, and the secret that they know."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from reconciler.api.webhook_port import WebhookApi
from reconciler.app.ports import TcpPort
from reconciler.manifest.config import Config

MOST_BYTES = 4096


class SecretFile:
    """A file with a secret in each line: while one takes the place of another, both are good."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._name = ""
        self._stamp: tuple[int, ...] = ()
        self._secrets: tuple[bytes, ...] = ()
        self.trouble = ""
        """Why nobody can be known by it; empty while that is not so, or no file is named."""

    def follow(self, name: str) -> None:
        """Read this file from now on; empty: none."""
        self._name, self._stamp = name, ()
        self.read()

    def read(self) -> Sequence[bytes]:
        """Give the secrets, read anew where the file has changed; none where it cannot be used."""
        if not self._name:
            self.trouble, self._secrets = "", ()
            return ()
        place = self._root / self._name
        try:
            found = place.stat()
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_mode)
            if stamp != self._stamp:
                self._secrets, self._stamp = _secrets(place, found.st_mode), stamp
            self.trouble = ""
        except (OSError, ValueError) as why:
            words = os.strerror(why.errno) if isinstance(why, OSError) and why.errno else str(why)
            self._secrets, self._stamp = (), ()
            self.trouble = f"webhooks are refused: {place}: {words.lower()}"
        return self._secrets


def _secrets(place: Path, mode: int) -> tuple[bytes, ...]:
    """Read the lines of a file that nobody else may read."""
    if stat.S_IMODE(mode) & 0o077:
        raise ValueError(f"others may read it; mend: chmod 600 {place}")
    with place.open("rb") as file:
        lines = tuple(line.strip() for line in file.read(MOST_BYTES).splitlines())
    found = tuple(line for line in lines if line)
    if not found:
        raise ValueError("it is empty; mend: write the secret that the forge has into it")
    return found


class Webhooks:
    """The port, opened where the settings say and something is fetched at all."""

    def __init__(
        self,
        root: Path,
        hurry: Callable[[], None] | None,
        wall: Callable[[], float],
        counts: Counter[str],
    ) -> None:
        """Call `hurry` when there is news; None: nothing is fetched here.

        What becomes of each request is counted in `counts`.
        """
        self._hurry = hurry
        self._secret = SecretFile(root)
        self._why_not = ""
        listening: list[str] = []
        self.port = TcpPort(
            "webhooks",
            lambda: WebhookApi(self._secret.read, hurry or (lambda: None), wall, counts),
            listening,
        )

    def wanted(self, config: Config) -> str:
        """Take the settings, and give the address to listen at; empty for none."""
        self._why_not = ""
        if config.webhook_listen and self._hurry is None:
            self._why_not = "nothing is fetched here; mend: weaver up --repo URL"
        elif config.webhook_listen and not config.webhook_secret:
            self._why_not = "it has no secretFile, so nobody could be known"
        self._secret.follow("" if self._why_not else config.webhook_secret)
        return "" if self._why_not else config.webhook_listen

    def trouble(self) -> str:
        """Say what is wrong with it; empty while nothing is."""
        if self._why_not:
            return f"git.webhook is not served: {self._why_not}"
        self._secret.read()
        return self.port.trouble or self._secret.trouble
