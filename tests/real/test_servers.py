"""Databases and web servers under load do not notice what becomes of Weaver."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cli.reappearing import listens
from tests.real.servers import Servers, loaded, missing_programs
from tests.real.station import Station, is_alive
from tests.waiting import until

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def servers(here: Station) -> Iterator[Servers]:
    if missing := missing_programs():
        pytest.skip(f"not installed: {' '.join(missing)}")
    # PostgreSQL runs as a user of its own, who may not enter the folders of pytest.
    with tempfile.TemporaryDirectory(prefix="weaver-pg-") as database:
        made = Servers(here, Path(database))
        made.define()
        here.options = replace(here.options, comes_back=True)
        here.up()
        said = here.tell("/v1/operations", kind="settle", timeout=60)
        assert said[-1]["exitCode"] == 0, here.text("/v1/status?format=wide")
        yield made
        here.down()


def identities(here: Station) -> dict[str, str]:
    """Give pid and birth tick of each service."""
    stats = {name: Path(f"/proc/{pid}/stat").read_text() for name, pid in here.pids().items()}
    return {
        name: f"{stat.split()[0]} {stat.rpartition(')')[2].split()[19]}"
        for name, stat in stats.items()
    }


def test_servers_under_load_outlive_the_death_and_the_replacement_of_daemon_and_holder(
    here: Station, servers: Servers
) -> None:
    before = identities(here)
    with loaded(servers) as loads:
        loads.are_served_again()
        first = here.daemon_pid
        os.kill(first or 0, signal.SIGKILL)
        until(lambda: here.daemon_pid not in (None, first), message="the daemon to be brought back")
        loads.are_served_again()
        until(lambda: listens(str(here.paths.socket), 1.0))
        until(lambda: here.is_running(*servers.names))

        holder = here.status()["daemon"]["holderPid"]
        os.kill(holder, signal.SIGKILL)
        until(lambda: here.status()["daemon"]["holderPid"] not in (None, holder))
        loads.are_served_again()
        until(lambda: here.is_running(*servers.names))

        both = (here.daemon_pid, here.status()["daemon"]["holderPid"])
        for pid in both:
            os.kill(pid or 0, signal.SIGKILL)
        until(lambda: not any(map(is_alive, both)))
        loads.are_served_again()
        here.up()
        assert here.settle()["exitCode"] == 0
        loads.are_served_again()

        holder = here.status()["daemon"]["holderPid"]
        weaver = [sys.executable, "-m", "reconciler", "-C", str(here.root), "reexec"]
        replaced = subprocess.run(weaver, check=False, capture_output=True, text=True)
        assert replaced.returncode == 0, replaced.stdout + replaced.stderr
        loads.are_served_again()
        until(lambda: here.is_running(*servers.names))
        assert here.status()["daemon"]["holderPid"] == holder, "in place means the same process"
    assert identities(here) == before
    assert servers.sql("select count(*) from rows") == str(loads.postgres.reached)


def test_a_killed_server_is_there_again_with_all_that_it_had_acknowledged(
    here: Station, servers: Servers
) -> None:
    for name in servers.names:
        reached = reached_until_killed(here, servers, name)
        with loaded(servers) as loads:
            loads.are_served_again()
            assert loads.of(name).found >= reached or name in ("app", "nginx"), name
        assert here.instance(name)["restartCount"] == 1, f"the first new start of {name} worked"


def reached_until_killed(here: Station, servers: Servers, name: str) -> int:
    """Kill a server under load and await the next; tell how far its load had come."""
    with loaded(servers) as loads:
        loads.are_served_again()
        load = loads.of(name)
        # The workers of nginx and PostgreSQL outlive it, and hold its port and its memory: a
        # second copy beside them would refuse to start.
        os.kill(here.pid(name) or 0, signal.SIGKILL)
        until(lambda: here.instance(name)["restartCount"], message=f"{name} to be started again")
        until(lambda: here.is_running(*servers.names))
        # A connection breaks with its server; the other instance of the application takes over.
        until(lambda: load.failure or name in ("app", "nginx"), message="the client to notice")
        assert not [one.failure for one in loads.all if one is not load and one.failure]
    return load.reached


def test_servers_are_upgraded_under_load(here: Station, servers: Servers) -> None:
    with loaded(servers) as loads:
        before = here.pids()
        loads.are_served_again()
        servers.configure_nginx("2")
        until(lambda: loads.nginx.failure or loads.nginx.versions == ("2", "1"))
        servers.define_app("2")
        until(lambda: loads.nginx.failure or loads.nginx.versions == ("2", "2"))
        assert here.settle()["exitCode"] == 0
        loads.are_served_again()
        assert loads.nginx.versions == ("2", "2")
        assert {name for name, pid in here.pids().items() if before[name] != pid} == {
            "app-0",
            "app-1",
        }, "nginx took its new configuration over without a new process"
        # One connection to a database ends with it, as it would under anybody.
        servers.define_redis(clients=90)
        servers.define_postgres(connections=20)
        until(lambda: loads.redis.failure and loads.postgres.failure)
        assert here.settle()["exitCode"] == 0
        assert not loads.nginx.failure
        log = (here.root / ".weaver" / "logs" / "postgres" / "0.log").read_text()
        assert "database system is shut down" in log, "it was asked, not killed"
        assert servers.sql("show max_connections") == "20"
        reached = (loads.redis.reached, loads.postgres.reached)
    with loaded(servers) as loads:
        loads.are_served_again()
        assert loads.redis.found > reached[0]
        assert loads.postgres.found >= reached[1]


def test_what_was_shut_down_starts_again_with_all_of_its_data(
    here: Station, servers: Servers
) -> None:
    with loaded(servers) as loads:
        loads.are_served_again()
    ours = [pid for pid in here.pids().values() if pid]
    here.tell("/v1/shutdown", kill=False)
    until(lambda: not any(map(is_alive, ours)))
    log = (here.root / ".weaver" / "logs" / "postgres" / "0.log").read_text()
    assert "database system is shut down" in log.splitlines()[-1], "it was asked, not killed"
    here.up()
    assert here.settle()["exitCode"] == 0, "no port and no file was left in its own way"
    with loaded(servers) as again:
        again.are_served_again()
        assert again.redis.found > loads.redis.reached
        assert again.postgres.found == loads.postgres.reached
