"""Ask a daemon over its unix socket: one blocking connection for each request."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, TypeVar
from urllib.parse import urlencode

from reconciler.cli import exits
from reconciler.cli.errors import CommandError, elsewhere, no_daemon
from reconciler.cli.reappearing import (
    comes_back,
    daemon_lives,
    daemon_pid,
    is_expected,
    listens,
)

ANSWER_WITHIN_S = 30.0
"""A question that takes longer is given up; a long verb says how long it may take."""
GRACE_S = 15.0
"""What a long verb may take beyond its own time limit before the daemon counts as stuck."""
_CHUNK = 1 << 16

T = TypeVar("T")
Json = dict[str, Any]
Query = Mapping[str, str | int | float | bool | Sequence[str] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the daemon answered, its exit code included."""

    body: bytes
    code: int

    def json(self) -> Json:
        """Give the JSON document that the body is."""
        found: Json = json.loads(self.body)
        return found


class _Connection(HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("weaver", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Daemon:
    """The daemon of one repository, as the command line sees it."""

    def __init__(self, root: str, socket_path: str) -> None:
        self.root = root
        self.socket_path = socket_path

    def answers(self) -> bool:
        """Tell whether somebody listens."""
        try:
            return comes_back(self.root, lambda: listens(self.socket_path, ANSWER_WITHIN_S))
        except PermissionError as error:
            raise self._forbidden() from error

    def unreachable(self) -> CommandError:
        """Say that nobody answers, or that somebody would elsewhere."""
        if is_expected(self.root) and not daemon_lives(self.root):
            return CommandError(
                f"the daemon of {self.root} ends again and again before it answers",
                mend="see why: weaver logs --daemon",
                code=exits.NO_DAEMON,
            )
        if not daemon_lives(self.root):
            return no_daemon(self.root)
        return elsewhere(daemon_pid(self.root), self.root, self.socket_path)

    def ask(self, path: str, query: Query | None = None, wait_s: float = 0.0) -> Answer:
        """Ask a question; `wait_s` is how long the daemon may think about it."""
        with self._open("GET", _target(path, query), None, ANSWER_WITHIN_S + wait_s) as found:
            return Answer(body=self._read(found), code=_exit_code(found))

    def tell(
        self, path: str, body: Json, wait_s: float, query: Query | None = None
    ) -> Iterator[Json]:
        """Ask for a long verb and yield its messages; the last one is the summary."""
        with self._open("POST", _target(path, query), body, wait_s + GRACE_S) as found:
            for line in self._lines(found):
                yield json.loads(line)

    def stream(self, path: str, query: Query | None = None) -> Iterator[bytes]:
        """Yield the answer as it arrives, without a time limit."""
        with self._open("GET", _target(path, query), None, None) as found:
            while chunk := self._guarded(lambda: found.read1(_CHUNK)):
                yield chunk

    def events(self, query: Query | None = None) -> Iterator[Json]:
        """Yield events as they happen (server-sent), without a time limit."""
        with self._open("GET", _target("/v1/events", query), None, None) as found:
            for line in self._lines(found):
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])

    def _open(
        self, method: str, target: str, body: Json | None, limit_s: float | None
    ) -> HTTPResponse:
        """Send a request and give the head of a good answer; a problem is raised."""
        connection = _Connection(self.socket_path, limit_s)
        try:
            return self._asked(connection, method, target, body)
        except BaseException:
            connection.close()
            raise

    def _asked(
        self, connection: _Connection, method: str, target: str, body: Json | None
    ) -> HTTPResponse:
        """Send a request over a connection and give the head of a good answer."""
        sent = None if body is None else json.dumps(body).encode()
        head = {"Connection": "close"} | ({"Content-Type": "application/json"} if sent else {})
        try:
            self._connect(connection)
            connection.request(method, target, sent, head)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise self.unreachable() from error
        except PermissionError as error:
            raise self._forbidden() from error
        except OSError as error:
            raise self._gone() from error
        found = self._guarded(connection.getresponse)
        if found.status >= 400:
            raise _problem(found.status, self._read(found))
        return found

    def _connect(self, connection: _Connection) -> None:
        """Connect, once more where the socket of a living daemon comes back."""
        try:
            connection.connect()
        except (FileNotFoundError, ConnectionRefusedError):
            if not self.answers():
                raise
            connection.connect()

    def _read(self, found: HTTPResponse) -> bytes:
        """Read a body to its end."""
        return self._guarded(found.read)

    def _lines(self, found: HTTPResponse) -> Iterator[bytes]:
        """Yield the lines of a body that are not empty."""
        while line := self._guarded(found.readline):
            if line.strip():
                yield line

    def _guarded(self, read: Callable[[], T]) -> T:
        """Read from the daemon; say in words what went wrong."""
        try:
            return read()
        except TimeoutError as error:
            raise CommandError(
                f"the daemon of {self.root} does not answer",
                mend="weaver logs --daemon; killing the daemon leaves the services running",
                code=exits.TIMED_OUT,
            ) from error
        except (HTTPException, OSError) as error:
            raise self._gone() from error

    def _gone(self) -> CommandError:
        """Say that the daemon did not stay until it had answered."""
        returns = is_expected(self.root)
        mend = "ask again: it is being brought back" if returns else "weaver up --detach, ask again"
        return CommandError(
            f"the daemon of {self.root} went away before it had answered",
            mend=f"the services run on; {mend}",
            code=exits.NO_DAEMON,
        )

    def _forbidden(self) -> CommandError:
        """Say that the socket is somebody else's."""
        return CommandError(
            f"not allowed to ask the daemon of {self.root}",
            mend="run the command as the user that the daemon runs as, or as root",
            code=exits.FORBIDDEN,
        )


def _target(path: str, query: Query | None) -> str:
    """Give path and query; what is None or False is left out, lists are repeated."""
    pairs = {k: _plain(v) for k, v in (query or {}).items() if v is not None and v is not False}
    return f"{path}?{urlencode(pairs, doseq=True)}" if pairs else path


def _plain(value: str | float | bool | Sequence[str] | None) -> str | list[str]:
    """Write a value as a query takes it."""
    if value is True:
        return "1"
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    return list(value) if isinstance(value, (list, tuple)) else str(value)


def _exit_code(found: HTTPResponse) -> int:
    """Read the exit code that the daemon thinks this answer deserves."""
    return int(found.headers.get("Weaver-Exit-Code", "0"))


def _problem(status: int, body: bytes) -> CommandError:
    """Turn a problem document into words."""
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    text = said.get("detail") or said.get("title") or f"the daemon answered with {status}"
    return CommandError(text, mend=said.get("mend", ""), code=said.get("exitCode", exits.FAILED))
