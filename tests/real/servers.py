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
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.real.station import Station
from tests.waiting import until

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
    add_header X-Configured {version};
    location / {{ proxy_pass http://127.0.0.1:{uvicorn}; }}
  }}
}}
"""
APP = """\
import os
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": os.environ["VERSION"].encode()})
"""
RESTARTS = Path(__file__).parents[2] / "docs" / "restarts.md"
"""The page that gives people the server which drains before it stops."""


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
        root = self._here.root
        (root / "web.py").write_text(APP)
        (root / "serve.py").write_text(RESTARTS.read_text().split("```python\n")[1].split("```")[0])
        (root / "redis").mkdir()
        self._make_database()
        self.configure_nginx("1")
        self.define_redis(clients=100)
        self.define_postgres(connections=30)
        self.define_app("1")
        self._write(
            "nginx",
            f"nginx -e {root}/nginx.err -c {root}/nginx.conf",
            "stopSignal: SIGQUIT\ndependsOn: [app]\n"
            "reload: {signal: SIGHUP}\nreloadOn: [nginx.conf]\n"
            f"ready: {{type: tcp, tcp: {{port: {self.ports.nginx}}}}}",
        )

    def configure_nginx(self, version: str) -> None:
        """Write its configuration, which names a version in each answer."""
        text = NGINX_CONF.format(root=self._here.root, version=version, **vars(self.ports))
        (self._here.root / "nginx.conf").write_text(text)

    def define_redis(self, clients: int) -> None:
        """Write its manifest, for at most so many clients."""
        port, folder = self.ports.redis, self._here.root / "redis"
        self._write(
            "redis",
            f"redis-server --port {port} --dir {folder} --appendonly yes --save ''"
            f" --maxclients {clients}",
            f"ready: {{type: tcp, tcp: {{port: {port}}}}}",
        )

    def define_postgres(self, connections: int) -> None:
        """Write its manifest, for at most so many connections."""
        self._write(
            "postgres",
            f"{self.programs}/postgres -D {self.database} -k {self.database} -h ''"
            f" -c max_connections={connections}",
            "ready:\n  type: command\n"
            f"  command: {{cmd: {self.programs}/pg_isready, args: [-h, {self.database}]}}\n"
            # Its own word for a quick and orderly end: clients are disconnected.
            f"stopSignal: SIGINT\ncwd: {self.database}\n{_POSTGRES_USER}",
        )

    def define_app(self, version: str) -> None:
        """Write the manifest of uvicorn, whose every answer is a version."""
        self._write(
            "app",
            f"{sys.executable} serve.py",
            "instances: 2\n"
            f"sockets: [{{listen: 'tcp://127.0.0.1:{self.ports.uvicorn}'}}]\n"
            "ready: {type: logLine, pattern: startup complete}\n"
            "hooks: {preStop: {shell: true, command: 'kill -USR1 $WEAVER_MAIN_PID; sleep 0.3'}}\n"
            "update: {minReady: 50ms}",
            f"VERSION: '{version}'",
        )

    def _write(self, name: str, command: str, more: str, env: str = "") -> None:
        quick = "backoff: {initial: 50ms, jitter: 0ms}\n"
        env = f'env: {{PATH: "{PATH}"{env and ", "}{env}}}\n'
        text = f'name: {name}\ncommand: "{command}"\n{env}{quick}{more}\n'
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
        self.found = 0
        """How far those before it had come, as the server tells it."""
        self.acknowledged = 0
        self.failure = ""
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    @property
    def reached(self) -> int:
        """How far it came: what is acknowledged must never be lost again."""
        return self.found + self.acknowledged

    @abstractmethod
    def open(self) -> None:
        """Connect, and learn how far those before came."""

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
        self.found = self._count()

    def ask(self) -> None:
        answer = self._count()
        if answer != self.reached + 1:
            raise ValueError(answer)

    def _count(self) -> int:
        self._sock.sendall(b"INCR visits\r\n")
        return int(self._sock.recv(64).removeprefix(b":"))

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
        self.found = int(self._answer("select count(*) from rows"))

    def ask(self) -> None:
        number = str(self.reached + 1)
        answer = self._answer(f"insert into rows values ({number}) returning id")
        if answer != number:
            raise ValueError(answer)

    def _answer(self, statement: str) -> str:
        assert self._psql.stdin
        assert self._psql.stdout
        self._psql.stdin.write(f"{statement};\n")
        self._psql.stdin.flush()
        return self._psql.stdout.readline().strip()

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
        self.versions: tuple[str, str] | None = None
        """What the last page told of the configuration of nginx and of the application."""

    def open(self) -> None:
        """Connect for each page anew."""

    def ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", "/")
            answer = connection.getresponse()
            page = answer.read().decode()
            if answer.status != 200:
                raise ValueError(answer.status)
            self.versions = (answer.headers["X-Configured"], page)
        finally:
            connection.close()

    def close(self) -> None:
        """Have nothing to leave."""


@dataclass(frozen=True)
class Loads:
    """One load for each of them; a page goes through nginx and the application."""

    redis: Counting
    postgres: Inserting
    nginx: Fetching

    @property
    def all(self) -> list[Load]:
        return [self.redis, self.postgres, self.nginx]

    def of(self, name: str) -> Load:
        """Give the load of a service."""
        return {"redis": self.redis, "postgres": self.postgres}.get(name, self.nginx)

    def are_served_again(self) -> None:
        """Wait until every load was served a few times more, none failing."""
        before = [load.acknowledged for load in self.all]
        until(
            lambda: (
                any(load.failure for load in self.all)
                or all(
                    load.acknowledged > count + 5
                    for load, count in zip(self.all, before, strict=True)
                )
            ),
            message="the servers to serve",
        )
        assert not [load.failure for load in self.all if load.failure]


@contextmanager
def loaded(servers: Servers) -> Iterator[Loads]:
    """Keep all servers busy."""
    servers.sql("create table if not exists rows (id bigint)")
    ports = servers.ports
    loads = Loads(Counting(ports.redis), Inserting(servers), Fetching(ports.nginx))
    with ExitStack() as busy:
        for load in loads.all:
            busy.enter_context(load)
        yield loads
