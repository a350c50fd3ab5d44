"""Real servers under load: each load counts what was acknowledged to it, and what failed."""

from __future__ import annotations

import http.client
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.real.station import Station

# Debian keeps nginx where only root looks.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])
_POSTGRES_USER = "user: postgres\n" if os.geteuid() == 0 else ""
NGINX_CONF = """\
daemon off;
error_log {root}/nginx.err;
pid {root}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {root}/nginx-body;
  proxy_temp_path {root}/nginx-proxy;
  fastcgi_temp_path {root}/nginx-fastcgi;
  uwsgi_temp_path {root}/nginx-uwsgi;
  scgi_temp_path {root}/nginx-scgi;
  server {{
    listen 127.0.0.1:{nginx};
    location / {{ proxy_pass http://127.0.0.1:{uvicorn}; }}
  }}
}}
"""
APP = """\
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})
"""


def postgres_programs() -> Path | None:
    """Find the folder with PostgreSQL's own programs, which Debian keeps off PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def missing_programs() -> list[str]:
    """List the programs that are not on this machine."""
    absent = [name for name in ("nginx", "redis-server") if not shutil.which(name, path=PATH)]
    return [*absent, *([] if postgres_programs() else ["postgresql"])]


class Ports:
    """Ports that nobody has, different ones."""

    def __init__(self) -> None:
        self.redis, self.nginx, self.uvicorn = free_ports(3)


def free_ports(count: int) -> list[int]:
    """Give ports that nobody has, different ones.

    They are below those that the kernel gives to clients: a load's own connection, or that of
    another test, must not have taken one when its server starts again.
    """
    luck = random.Random()
    with ExitStack() as kept:
        return [_free_port(kept, luck) for _ in range(count)]


def _free_port(kept: ExitStack, luck: random.Random) -> int:
    for _ in range(1000):
        probe = kept.enter_context(socket.socket())
        with suppress(OSError):
            probe.bind(("127.0.0.1", luck.randrange(10_000, 30_000)))
            return int(probe.getsockname()[1])
    raise AssertionError("no port is free")


class Servers:
    """Redis, PostgreSQL, and nginx in front of uvicorn, as manifests of a station."""

    def __init__(self, here: Station, database: Path) -> None:
        """`database` is an empty folder of ours, which another user can reach."""
        self._here = here
        self.ports = Ports()
        self.database = database
        programs = postgres_programs()
        assert programs
        self.programs = programs

    @property
    def names(self) -> list[str]:
        return ["app", "nginx", "postgres", "redis"]

    def define(self) -> None:
        """Write what they need and their manifests."""
        root, ports = self._here.root, self.ports
        (root / "app.py").write_text(APP)
        (root / "nginx.conf").write_text(NGINX_CONF.format(root=root, **vars(ports)))
        (root / "redis").mkdir()
        self._make_database()
        self._write(
            "redis",
            f"redis-server --port {ports.redis} --dir {root}/redis --appendonly yes --save ''",
            f"ready: {{type: tcp, tcp: {{port: {ports.redis}}}}}",
        )
        self._write(
            "postgres",
            f"{self.programs}/postgres -D {self.database} -k {self.database} -h ''",
            "ready:\n  type: command\n"
            f"  command: {{cmd: {self.programs}/pg_isready, args: [-h, {self.database}]}}\n"
            # Its own word for a quick and orderly end: clients are disconnected.
            f"stopSignal: SIGINT\ncwd: {self.database}\n{_POSTGRES_USER}",
        )
        self._write(
            "app",
            f"{sys.executable} -m uvicorn app:app --port {ports.uvicorn} --no-access-log",
            f"ready: {{type: http, http: {{url: 'http://127.0.0.1:{ports.uvicorn}/'}}}}",
        )
        self._write(
            "nginx",
            f"nginx -e {root}/nginx.err -c {root}/nginx.conf",
            "stopSignal: SIGQUIT\ndependsOn: [app]\n"
            f"ready: {{type: tcp, tcp: {{port: {ports.nginx}}}}}",
        )

    def _write(self, name: str, command: str, more: str) -> None:
        quick = "backoff: {initial: 50ms, jitter: 0ms}\n"
        text = f'name: {name}\ncommand: "{command}"\nenv: {{PATH: "{PATH}"}}\n{quick}{more}\n'
        self._here.file(name).write_text(text)

    def _make_database(self) -> None:
        user = ["-U", "postgres", "--auth=trust", "--no-sync", "-D", str(self.database)]
        command = [str(self.programs / "initdb"), *user]
        if os.geteuid() == 0:
            shutil.chown(self.database, "postgres", "postgres")
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]
        subprocess.run(command, check=True, capture_output=True, cwd="/")

    def psql(self, *words: str) -> list[str]:
        """Give a command line of psql's for the database."""
        quiet = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]
        return [
            str(self.programs / "psql"),
            "-h",
            str(self.database),
            "-U",
            "postgres",
            *quiet,
            *words,
        ]

    def sql(self, text: str) -> str:
        """Run one statement on a connection of its own."""
        done = subprocess.run(self.psql("-c", text), check=True, capture_output=True, text=True)
        return done.stdout.strip()


class Load(ABC):
    """One client that asks again and again, and counts."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.failure = ""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @abstractmethod
    def open(self) -> None:
        """Connect."""

    @abstractmethod
    def ask(self) -> None:
        """Ask once; raise for anything but the right answer."""

    @abstractmethod
    def close(self) -> None:
        """Leave."""

    def __enter__(self) -> Self:
        self.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self.close()

    def _run(self) -> None:
        while not self._ends.is_set() and not self.failure:
            try:
                self.ask()
                self.acknowledged += 1
            except (OSError, ValueError, http.client.HTTPException) as error:
                self.failure = f"{type(self).__name__} after {self.acknowledged}: {error!r}"


class Counting(Load):
    """Counts in redis, over one connection."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def open(self) -> None:
        self._sock = socket.create_connection(("127.0.0.1", self._port), timeout=10)

    def ask(self) -> None:
        self._sock.sendall(b"INCR visits\r\n")
        answer = self._sock.recv(64)
        if answer != b":%d\r\n" % (self.acknowledged + 1):
            raise ValueError(answer)

    def close(self) -> None:
        self._sock.close()


class Inserting(Load):
    """Inserts rows into PostgreSQL, over one connection, each committed by itself."""

    def __init__(self, servers: Servers) -> None:
        super().__init__()
        self._servers = servers

    def open(self) -> None:
        self._psql = subprocess.Popen(
            self._servers.psql(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ask(self) -> None:
        assert self._psql.stdin
        assert self._psql.stdout
        number = str(self.acknowledged + 1)
        self._psql.stdin.write(f"insert into rows values ({number}) returning id;\n")
        self._psql.stdin.flush()
        answer = self._psql.stdout.readline().strip()
        if answer != number:
            raise ValueError(answer)

    def close(self) -> None:
        assert self._psql.stdin
        assert self._psql.stdout
        self._psql.stdin.close()
        self._psql.stdout.close()
        self._psql.wait(10)


class Fetching(Load):
    """Fetches a page of uvicorn's through nginx, each over a new connection."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port

    def open(self) -> None:
        """Connect for each page anew."""

    def ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            if (answer.status, answer.read()) != (200, b"hello"):
                raise ValueError(answer.status)
        finally:
            connection.close()

    def close(self) -> None:
        """Have nothing to leave."""


@contextmanager
def loaded(servers: Servers) -> Iterator[list[Load]]:
    """Keep all servers busy."""
    servers.sql("create table if not exists rows (id bigint)")
    loads: list[Load] = [
        Counting(servers.ports.redis),
        Inserting(servers),
        Fetching(servers.ports.nginx),
    ]
    with ExitStack() as busy:
        for load in loads:
            busy.enter_context(load)
        yield loads
