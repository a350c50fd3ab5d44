"""Keep the ledger in a file, so that a holder continues where its predecessor was killed.

The file has one transition a line, as JSON; the first names the boot. A line is added before what
it tells of can be seen outside, and the file is written whole by a rename when it has grown or has
vanished. Whatever fails there, supervision goes on from memory and `mend` tries again.
"""

from __future__ import annotations

import contextlib
import json
import os

from reconciler.failpoints import failpoint
from reconciler.holder.ledger import Ledger

TYPE_CHECKING = False  # see wire.py
if TYPE_CHECKING:
    from reconciler.holder.wire import Message

GROWTH_BYTES = 1024 * 1024
"""How much may be added before the file is written whole again."""


class Journal:
    """The ledger and its file, `holder/journal` in the state folder."""

    def __init__(self, state: str) -> None:
        self.ledger = Ledger()
        self.trouble = ""
        """Why the file is behind the ledger; empty while it is not."""
        self.state = state
        self._folders = (state, os.path.join(state, "holder"))
        self._path = os.path.join(state, "holder", "journal")
        self._fd = -1
        self._room = 0

    def load(self) -> str:
        """Read what a predecessor left, as far as that makes sense; say what does not."""
        try:
            with open(self._path, "rb") as file:
                *lines, _torn = file.read().split(b"\n")
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"cannot read {self._path}: {error.strerror}"
        lost = sum(not self._replay(line) for line in lines)
        return f"{lost} lines of the journal make no sense" if lost else ""

    def record(self, entry: Message) -> None:
        """Let a transition take effect, and add it to the file."""
        self.ledger.apply(entry)
        if self.trouble:
            return
        line = _line(entry)
        try:
            if self._room < len(line) or not self._is_in_place():
                self._write_whole()
            else:
                self._room -= len(line)
                failpoint("holder.journal.before")
                _write(self._fd, line)
                failpoint("holder.journal.written")
        except OSError as error:
            self.trouble = f"cannot write {self._path}: {error.strerror}"

    def mend(self) -> None:
        """Write the file whole if it vanished or is behind the ledger."""
        try:
            if self.trouble or not self._is_in_place():
                self._write_whole()
            self.trouble = ""
        except OSError as error:
            self.trouble = f"cannot write {self._path}: {error.strerror}"

    def _replay(self, line: bytes) -> bool:
        try:
            self.ledger.apply(json.loads(line))
        except (ValueError, LookupError, TypeError, RecursionError):
            return False
        return True

    def _is_in_place(self) -> bool:
        """Tell whether the file that we write to is still the one at its path."""
        try:
            return self._fd >= 0 and os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _write_whole(self) -> None:
        for folder in self._folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)
        fresh = f"{self._path}.new"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(fresh, flags, 0o600)
        try:
            _write(fd, b"".join(map(_line, self.ledger.entries())))
            failpoint("holder.rewrite.before")
            os.rename(fresh, self._path)
        except OSError:
            os.close(fd)
            os.unlink(fresh)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._room = fd, GROWTH_BYTES
        failpoint("holder.rewrite.renamed")


def _line(entry: Message) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _write(fd: int, text: bytes) -> None:
    while text:
        text = text[os.write(fd, text) :]
