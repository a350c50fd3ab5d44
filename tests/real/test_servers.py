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
from tests.real.servers import Load, Servers, loaded, missing_programs
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
        assert said[-1]["exitCode"] == 0, said
        yield made
        here.down()


def identities(here: Station) -> dict[str, str]:
    """Give pid and birth tick of each service."""
    stats = {name: Path(f"/proc/{pid}/stat").read_text() for name, pid in here.pids().items()}
    return {
        name: f"{stat.split()[0]} {stat.rpartition(')')[2].split()[19]}"
        for name, stat in stats.items()
    }


def is_busy_again(loads: list[Load]) -> None:
    """Wait until every load was served a few times more, none failing."""
    before = [load.acknowledged for load in loads]
    until(
        lambda: (
            any(load.failure for load in loads)
            or all(load.acknowledged > count + 5 for load, count in zip(loads, before, strict=True))
        ),
        message="the servers to serve",
    )
    assert not [load.failure for load in loads if load.failure]


def test_servers_under_load_outlive_the_death_and_the_replacement_of_daemon_and_holder(
    here: Station, servers: Servers
) -> None:
    before = identities(here)
    with loaded(servers) as loads:
        is_busy_again(loads)
        first = here.daemon_pid
        os.kill(first or 0, signal.SIGKILL)
        until(lambda: here.daemon_pid not in (None, first), message="the daemon to be brought back")
        is_busy_again(loads)
        until(lambda: listens(str(here.paths.socket), 1.0))
        until(lambda: here.is_running(*servers.names))

        holder = here.status()["daemon"]["holderPid"]
        os.kill(holder, signal.SIGKILL)
        until(lambda: here.status()["daemon"]["holderPid"] not in (None, holder))
        is_busy_again(loads)
        until(lambda: here.is_running(*servers.names))

        both = (here.daemon_pid, here.status()["daemon"]["holderPid"])
        for pid in both:
            os.kill(pid or 0, signal.SIGKILL)
        until(lambda: not any(map(is_alive, both)))
        is_busy_again(loads)
        here.up()
        assert here.settle()["exitCode"] == 0
        is_busy_again(loads)

        holder = here.status()["daemon"]["holderPid"]
        weaver = [sys.executable, "-m", "reconciler", "-C", str(here.root), "reexec"]
        replaced = subprocess.run(weaver, check=False, capture_output=True, text=True)
        assert replaced.returncode == 0, replaced.stdout + replaced.stderr
        is_busy_again(loads)
        until(lambda: here.is_running(*servers.names))
        assert here.status()["daemon"]["holderPid"] == holder, "in place means the same process"
    assert identities(here) == before
    assert servers.sql("select count(*) from rows") == str(loads[1].acknowledged)


def test_a_killed_database_comes_back_with_all_that_it_had_acknowledged(
    here: Station, servers: Servers
) -> None:
    with loaded(servers) as loads:
        is_busy_again(loads)
        # Its workers outlive it and hold its memory: a second copy would refuse to start.
        os.kill(here.pid("postgres") or 0, signal.SIGKILL)
        until(lambda: loads[1].failure, message="the client to notice")
        until(lambda: here.is_running("postgres") and here.instance("postgres")["restartCount"])
        assert not loads[0].failure + loads[2].failure
    assert int(servers.sql("select count(*) from rows")) >= loads[1].acknowledged
    assert here.instance("postgres")["restartCount"] == 1, "its first new start worked"

    ours = [pid for pid in here.pids().values() if pid]
    here.tell("/v1/shutdown", kill=False)
    until(lambda: not any(map(is_alive, ours)))
    log = next((here.root / ".weaver" / "logs" / "postgres").glob("0.log")).read_text()
    assert "database system is shut down" in log.splitlines()[-1], "it was asked, not killed"
    here.up()
    assert here.settle()["exitCode"] == 0, "no port and no file was left in its own way"
    assert int(servers.sql("select count(*) from rows")) >= loads[1].acknowledged
