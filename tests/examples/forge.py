"""A small forge: GitHub's comments over loopback, and composite actions played as written."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PER_PAGE = 100
_EXPRESSION = re.compile(r"\$\{\{\s*([\w.-]+)\s*\}\}")
_CONDITION = re.compile(r"(?P<name>[\w.-]+) == '(?P<value>[^']*)'")


@dataclass
class Comments:
    """The comments of one pull request, as GitHub keeps them."""

    token: str
    login: str = "github-actions[bot]"
    kept: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def add(self, body: str, login: str) -> dict[str, Any]:
        """Write a comment."""
        comment = {"id": len(self.kept) + 1, "body": body, "user": {"login": login}}
        self.kept.append(comment)
        return comment

    def answer(self, method: str, path: str, token: str, content: Any) -> tuple[int, Any]:
        """Answer as GitHub does."""
        self.asked.append(f"{method} {path}")
        if token != f"Bearer {self.token}":
            return 403, {"message": "Resource not accessible by integration"}
        thread, _, query = path.partition("?")
        if method == "GET" and thread == "/repos/ana/shop/issues/7/comments":
            page = int(query.rpartition("page=")[2])
            return 200, self.kept[(page - 1) * PER_PAGE : page * PER_PAGE]
        if method == "POST" and thread == "/repos/ana/shop/issues/7/comments":
            return 201, self.add(content["body"], self.login)
        if method == "PATCH" and thread.startswith("/repos/ana/shop/issues/comments/"):
            comment = self.kept[int(thread.rpartition("/")[2]) - 1]
            comment["body"] = content["body"]
            return 200, comment
        return 404, {"message": "Not Found"}


@contextmanager
def serving(comments: Comments) -> Iterator[str]:
    """Serve comments, and give the address of the API."""

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            token = self.headers.get("Authorization", "")
            content = json.loads(body) if body else None
            code, found = comments.answer(self.command, self.path, token, content)
            data = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = reply  # noqa: N815 - names of the base class

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Run:
    """What came of an action: its exit code, what it printed, its outputs and its summary."""

    code: int
    printed: str
    outputs: Mapping[str, str]
    summary: str


def play(
    action: Mapping[str, Any],
    known: Mapping[str, str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    scratch: Path,
) -> Run:
    """Run every step of a composite action as GitHub's runner does, until one fails.

    `known` gives what expressions name; one that names anything else is an error.
    """
    scratch.mkdir()
    values = dict(known)
    for name, entry in action["inputs"].items():
        values.setdefault(f"inputs.{name}", _filled(str(entry.get("default", "")), values))
    summary = scratch / "summary.md"
    summary.touch()
    printed, code = "", 0
    for number, step in enumerate(action["runs"]["steps"]):
        if "if" in step and not _holds(step["if"], values):
            continue
        script, outputs = scratch / f"{number}.sh", scratch / f"{number}.outputs"
        script.write_text(step["run"])
        outputs.touch()
        surroundings = {
            **env,
            "RUNNER_TEMP": str(scratch),
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
            **{name: _filled(str(text), values) for name, text in step.get("env", {}).items()},
        }
        assert step["shell"] == "bash"
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=cwd,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        printed += ended.stdout
        for line in outputs.read_text().splitlines():
            name, _, value = line.partition("=")
            values[f"steps.{step['id']}.outputs.{name}"] = value
        code = ended.returncode
        if code:
            break
    given = {
        name: _EXPRESSION.sub(lambda found: values.get(found[1], ""), out["value"])
        for name, out in action["outputs"].items()
    }
    return Run(code=code, printed=printed, outputs=given, summary=summary.read_text())


def _filled(text: str, values: Mapping[str, str]) -> str:
    """Put in what expressions name."""
    return _EXPRESSION.sub(lambda found: values[found[1]], text)


def _holds(condition: str, values: Mapping[str, str]) -> bool:
    """Tell whether a step is to run."""
    found = _CONDITION.fullmatch(condition)
    assert found is not None, condition
    return values[found["name"]] == found["value"]
