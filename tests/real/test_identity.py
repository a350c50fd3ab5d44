"""Users, limits and streams of real services of a real daemon."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest

from tests.cli.shell import weaver
from tests.real.station import Station, environment_of
from tests.waiting import until

pytestmark = pytest.mark.real

NOBODY = pwd.getpwnam("nobody")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")


@pytest.fixture
def here(open_here: Station) -> Station:
    return open_here


def status_of(pid: int | None) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


@root_only
def test_a_manifest_says_who_a_service_is_and_what_it_may_use(here: Station) -> None:
    (here.root / "words").write_text("from a file\n")
    here.define(
        "web",
        "sh -c 'cat; echo $LOG_LEVEL; echo anew >> /dev/stdout; echo oops >&2; exec sleep 1000'",
        "user: nobody\nsupplementaryGroups: [adm]\numask: 027\nnice: 3\nstdin: words\n"
        "limits: {nofile: 100, core: unlimited, stack: {soft: 1M}}\nnoNewPrivileges: true\n"
        "logFile: logs/web.log\nerrorFile: logs/web.err\nlogLevel: warn\n",
    )
    here.define("plain")
    here.define("ghost", more="user: no-such-user\nmaxRestarts: 0\n")
    here.commit()
    here.up()
    here.settle()
    pid = here.pid("web")
    assert pid is not None
    status = status_of(pid)
    assert status["Uid"].split() == [str(NOBODY.pw_uid)] * 4
    assert (status["Umask"], status["NoNewPrivs"], status["CapEff"]) == ("0027", "1", "0" * 16)
    assert os.getpriority(os.PRIO_PROCESS, pid) == 3
    environment = environment_of(pid)
    assert {environment[name] for name in ("USER", "LOGNAME")} == {"nobody"}
    assert environment["HOME"] == NOBODY.pw_dir
    assert status_of(here.pid("plain"))["Uid"].split() == ["0"] * 4
    said = here.root / "logs" / "web.log"
    until(lambda: said.read_text() == "from a file\nwarn\nanew\n")
    assert (here.root / "logs" / "web.err").read_text() == "oops\n"
    shown = weaver("logs", "web", "--level", "trace", "-o", "json", cwd=here.root).stdout
    lines = [json.loads(line) for line in shown.splitlines()]
    assert {(line["stream"], line["message"]) for line in lines} == {
        ("stdout", "from a file"),
        ("stdout", "warn"),
        ("stdout", "anew"),
        ("stderr", "oops"),
    }
    assert weaver("logs", "web", cwd=here.root).stdout == "", "logLevel hides what is below it"
    reason = here.service("ghost")["reason"]
    assert "cannot run ghost as no-such-user: this host knows no such user" in reason
    run = weaver("run", "web", "--", "sh", "-c", "id -u; umask; ulimit -n", cwd=here.root)
    assert run.stdout.split() == [str(NOBODY.pw_uid), "0027", "100"], run.stderr
