"""A daemon that answers what it was told to: enough HTTP for the command line, nothing else."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a path answers."""

    body: bytes = b""
    status: int = 200
    code: int = 0
    kind: str = "text/plain"
    declared: int | None = None
    """A content length that is not the body's: an answer cut short."""


def text(body: str, code: int = 0) -> Reply:
    """Answer with finished text."""
    return Reply(body=body.encode(), code=code)


def ndjson(*messages: Mapping[str, Any]) -> Reply:
    """Answer a long verb with these messages."""
    lines = "".join(f"{json.dumps(message)}\n" for message in messages)
    return Reply(body=lines.encode(), kind="application/x-ndjson")


def problem(status: int, code: int, detail: str, mend: str = "") -> Reply:
    """Answer with a problem document."""
    said = {"title": "x", "status": status, "detail": detail, "mend": mend, "exitCode": code}
    kind = "application/problem+json"
    return Reply(body=json.dumps(said).encode(), status=status, code=code, kind=kind)


@dataclass(slots=True)
class Stub:
    """What a stub answers, and what it was asked."""

    root: Path
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[tuple[str, str, dict[str, list[str]], Any]] = field(default_factory=list)

    @property
    def last(self) -> tuple[str, str, dict[str, list[str]], Any]:
        """Give (method, path, query, body) of the last request."""
        return self.asked[-1]

    def paths(self) -> Sequence[str]:
        """Give the paths that were asked for, in order."""
        return [path for _, path, _, _ in self.asked]


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    stub: Stub


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""

    def do_GET(self) -> None:
        self._reply(None)

    def do_POST(self) -> None:
        self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _reply(self, body: Any) -> None:
        split = urlsplit(self.path)
        stub = self.server.stub
        stub.asked.append((self.command, split.path, parse_qs(split.query), body))
        reply = stub.replies.get(split.path) or problem(404, 6, f"no {split.path}")
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Weaver-Exit-Code", str(reply.code))
        size = len(reply.body) if reply.declared is None else reply.declared
        self.send_header("Content-Length", str(size))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)
        self.close_connection = True


@contextmanager
def serving(root: Path, replies: Mapping[str, Reply]) -> Iterator[Stub]:
    """Serve a repository's socket while the block runs."""
    state = root / ".weaver"
    state.mkdir(exist_ok=True)
    stub = Stub(root=root, replies=dict(replies))
    with _Server(str(state / "weaver.sock"), _Handler) as server:
        server.stub = stub
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield stub
        finally:
            server.shutdown()
            thread.join()
            (state / "weaver.sock").unlink()
