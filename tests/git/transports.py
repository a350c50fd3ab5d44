"""Each way by which git gets to a repository: files, an ssh server of our own, smart HTTP."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, CGIHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.waiting import until

WAYS = ("file", "ssh", "http")


@contextmanager
def served(way: str, folder: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve all repositories of a folder in one of the ways, and give what comes before a path."""
    if way == "file":
        yield f"file://{folder}"
    elif way == "http":
        with served_by_http(folder) as url:
            yield url
    elif os.geteuid() != 0 or not Path("/usr/sbin/sshd").exists():
        pytest.skip("an ssh server of one's own logs in nobody else, and needs root for that")
    else:
        keys = folder / ".keys"
        keys.mkdir(mode=0o700)
        with served_by_ssh(keys) as (url, command):
            patch.setenv("GIT_SSH_COMMAND", command)
            yield f"{url}{folder}"


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve by HTTP, and give the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def served_by_http(folder: Path) -> Iterator[str]:
    """Serve repositories by git's own program for smart HTTP."""
    core = subprocess.run(["git", "--exec-path"], capture_output=True, check=True, text=True)

    class Handler(CGIHTTPRequestHandler):
        have_fork = False

        def is_cgi(self) -> bool:
            self.cgi_info = ("", self.path.removeprefix("/"))
            return True

        def translate_path(self, _: str) -> str:
            return f"{core.stdout.strip()}/git-http-backend"

        def run_cgi(self) -> None:
            path, _, query = self.path.partition("?")
            length = self.headers.get("content-length")
            env = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("content-type", ""),
                "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                "REMOTE_ADDR": "127.0.0.1",
                # Who is known may push.
                "REMOTE_USER": "ana",
                "SAFE_DIRECTORY": "*",
            }
            done = subprocess.run(
                [self.translate_path("")],
                input=self.rfile.read(int(length)) if length else b"",
                env=env,
                capture_output=True,
                check=True,
            )
            head, _, body = done.stdout.partition(b"\r\n\r\n")
            lines = [line.split(b": ", 1) for line in head.split(b"\r\n")]
            fields = {key.decode(): value.decode() for key, value in lines}
            self.send_response(int(fields.pop("Status", "200 OK").split()[0]))
            for key, value in fields.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with serving(Handler) as url:
        yield url


@contextmanager
def served_by_ssh(folder: Path) -> Iterator[tuple[str, str]]:
    """Run an ssh server of our own; give its address, and the command that knows its keys."""
    for name in ("host", "person"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True
        )
    (folder / "authorized").write_bytes((folder / "person.pub").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\n"
        f"AuthorizedKeysFile {folder}/authorized\nPidFile none\nStrictModes no\nUsePAM no\n"
        "PermitRootLogin yes\nPasswordAuthentication no\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], stderr=subprocess.DEVNULL
    ) as server:
        try:
            until(lambda: _listens(port))
            command = (
                f"ssh -F none -i {folder}/person -o IdentitiesOnly=yes "
                f"-o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=accept-new"
            )
            yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}", command
        finally:
            server.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
