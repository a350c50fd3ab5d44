"""Write the holder's few words to `holder.log`, which cannot grow beyond two files."""

from __future__ import annotations

import contextlib
import os
import time

LIMIT_BYTES = 256 * 1024


class Log:
    """A text file that is replaced when it is full; failing to write it stops nothing."""

    def __init__(self, state: str) -> None:
        self._path = os.path.join(state, "holder.log")

    def write(self, text: str) -> None:
        """Add one line, or several that belong together, with the time in UTC."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            # Opened each time, since lines are rare and the folder may be deleted in between.
            fd = os.open(self._path, flags, 0o600)
            try:
                os.write(fd, f"{stamp} {text}\n".encode(errors="replace"))
                if os.fstat(fd).st_size > LIMIT_BYTES:
                    os.rename(self._path, f"{self._path}.1")
            finally:
                os.close(fd)

    def write_failure(self) -> None:
        """Add the traceback of the exception that is being handled."""
        with contextlib.suppress(OSError):
            # Imported in need only: it is a tenth of the holder's memory.
            import traceback

            self.write(traceback.format_exc())
