"""What makes programs pass their failpoints, in the words of the table of these."""

from __future__ import annotations

import functools
import http.client
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from reconciler.ports import WeaverError
from tests.real.proving import FILLS, LISTENING, ROTATED, define
from tests.real.station import Station, is_alive
from tests.waiting import until

NOT_SERVED = (OSError, http.client.HTTPException, ValueError, LookupError, WeaverError)
STRIKES_WITHIN_S = 0.5
"""What asking comes to while daemon or holder are struck down."""


class Deeds:
    """All that is done to a station, each deed by the name that the table gives it."""

    def __init__(self, here: Station, struck: Path) -> None:
        self.here = here
        self._struck = struck
        self._codes = 0
        self._edits = 0
        self._daemon = self._holder = 0

    def _do_crash(self) -> None:
        self._codes = self._codes % 200 + 1
        self._order("s0", f"exit {self._codes}")

    def _do_journal(self) -> None:
        self.here.paths.journal.unlink()
        self._do_crash()

    def _restart(self, name: str) -> None:
        self.here.tell("/v1/operations", kind="restart", services=[name])

    def _do_restart(self) -> None:
        self._restart("s3")

    def _do_limit(self) -> None:
        self._restart("s1")

    def _do_kill(self) -> None:
        self._restart("s4")

    def _do_store(self) -> None:
        self._restart("s2")

    def _do_notify(self) -> None:
        author = {"name": "Grace", "email": "grace@example.org"}
        for kind in ("start", "stop", "start"):
            self.here.tell("/v1/changes", kind=kind, services=["s2"], author=author)

    def _do_listen(self) -> None:
        define(self.here, LISTENING)  # on another port, and the former one is closed

    def _do_edit(self) -> None:
        self._edits += 1
        assignments = [{"path": "env.EDITION", "value": str(self._edits)}]
        author = {"name": "Grace", "email": "grace@example.org"}
        self.here.tell(
            "/v1/changes", kind="set", service="s5", assignments=assignments, author=author
        )

    def _do_worker(self) -> None:
        for pid in _children(self._daemon):
            if runs(pid, "reconciler.adapters.git.worker"):
                self._end(pid)
        self._do_edit()  # which may find out only now that it is gone
        self._do_edit()

    def _do_begin(self) -> None:
        self._end(self.daemon_pid)
        self.here.up()

    def _do_schema(self) -> None:
        self._end(self.daemon_pid)
        for part in self.here.paths.state.glob("state.db*"):
            part.unlink()
        self.here.up()

    def _do_holder(self) -> None:
        self._end(self._holder)

    def _do_rotate(self) -> None:
        for _ in range(4):  # until there is one too many
            known = self._archives()
            self._order(f"s{ROTATED}", f"fill {FILLS}")
            self._do_begin()
            until(functools.partial(self._has_rotated, known), 12)
            # What follows a rotation strikes a moment after its archive is there.
            with suppress(AssertionError):
                until(lambda: self._has_struck, STRIKES_WITHIN_S)
            if self._has_struck:
                return

    def _has_rotated(self, known: list[str]) -> bool:
        return self._has_struck or self._archives() != known

    @property
    def _has_struck(self) -> bool:
        return any(self._struck.iterdir())

    def _archives(self) -> list[str]:
        folder = self.here.paths.logs / f"s{ROTATED}"
        return sorted(path.name for path in folder.glob("0.log.0*"))

    def _do_revive(self) -> None:
        self._end(self.daemon_pid)

    def _do_mend(self) -> None:
        self.here.paths.lock_file.unlink()
        self.here.paths.socket.unlink()

    def _do_reexec(self) -> None:
        began = time.monotonic()
        with suppress(*NOT_SERVED):
            self.here.tell("/v1/reexec")
        # It answers first: what is asked until it is another program is answered by none.
        until(lambda: self._has_begun_since(began) or not is_alive(self._daemon), 30)

    def _has_begun_since(self, moment: float) -> bool:
        with suppress(*NOT_SERVED):
            uptime: float = self.here.status()["daemon"]["uptime"]
            return uptime < time.monotonic() - moment
        return False

    def _do_leave(self) -> None:
        self._end_in_order(keepServices=True)

    def _do_down(self) -> None:
        self._end_in_order()

    def _end_in_order(self, **how: bool) -> None:
        with suppress(*NOT_SERVED):
            self.here.tell("/v1/shutdown", **how)
        until(lambda: not is_alive(self._daemon), 30)

    @property
    def daemon_pid(self) -> int | None:
        """Give the pid in its file; asking its lock each time would fill the queue there."""
        with suppress(OSError, ValueError):
            pid = int(self.here.paths.lock_file.read_text().split("\n")[0])
            return pid if is_alive(pid) else None
        return None

    def pids(self) -> dict[str, int | None]:
        return self.here.pids()

    def _order(self, name: str, order: str) -> None:
        orders = os.open(self.here.root / f"proof/{name}.orders", os.O_WRONLY | os.O_NONBLOCK)
        os.write(orders, f"{order}\n".encode())
        os.close(orders)

    def _end(self, pid: int | None) -> None:
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until(lambda: not is_alive(pid))


class Doing:
    """A deed under way: whoever does it may stand still meanwhile."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self._deed = deed
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with suppress(*NOT_SERVED):
                self._deed()
        except BaseException as failure:  # noqa: BLE001 - whoever waits for it raises it
            self._failure = failure

    def join(self) -> None:
        """Wait until it is done or has failed."""
        self._thread.join(60)
        assert not self._thread.is_alive(), "the deed has no end"
        if self._failure is not None:
            raise self._failure


def runs(pid: int, module: str) -> bool:
    with suppress(OSError):
        return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for listed in found for child in listed.read_text().split()]
