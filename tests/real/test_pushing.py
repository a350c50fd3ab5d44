"""Commits of a daemon in a checkout come to where its branch goes, whatever dies meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.real.station import Station
from tests.real.test_changes import begun, change, of
from tests.waiting import until

pytestmark = pytest.mark.real


@pytest.fixture
def bare(here: Station, tmp_path: Path) -> Path:
    """Give the repository that the checkout was cloned from, as it were."""
    place = tmp_path / "deploy.git"
    here.git("init", "-q", "--bare", "-b", "main", str(place))
    here.git("remote", "add", "origin", str(place))
    (here.root / "weaver.yaml").write_text("git: {push: true}\n")
    here.git("add", "weaver.yaml")
    return place


def there(here: Station, bare: Path) -> str:
    """Give where the branch is in the other repository."""
    return here.git("-C", str(bare), "rev-parse", "main").strip()


def put(here: Station, value: str) -> str:
    """Change something by a command, and give its commit."""
    assignments = [{"path": "env.LEVEL", "value": value}]
    messages = change(here, "set", service="web", assignments=assignments)
    assert messages[-1]["exitCode"] == 0, messages
    [commit] = of(messages, "commit")
    assert not commit["pushed"], "nobody waits for a push"
    return str(commit["sha"])


def finding(here: Station) -> tuple[str, str]:
    [found] = [one for one in here.ask("/v1/doctor")["findings"] if one["check"] == "push"]
    return found["grade"], found["text"]


def test_what_is_committed_is_pushed_though_the_side_is_down_or_the_daemon_dies(
    here: Station, bare: Path
) -> None:
    begun(here)
    here.git("push", "-q", "-u", "origin", "main")
    first = put(here, "debug")
    until(lambda: there(here, bare) == first)
    until(lambda: [one for one in here.events() if one["kind"] == "git.pushed"])
    assert here.git("rev-parse", "origin/main").strip() == first
    assert finding(here) == ("ok", "main of origin has all commits of weaver's")

    bare.rename(bare.with_name("away"))
    second = put(here, "info")
    until(lambda: here.status()["push"]["reasonCode"] == "RemoteUnreachable")
    [trouble] = here.status()["daemon"]["troubles"]
    assert trouble.startswith("a commit waits to be pushed: cannot reach ")
    assert finding(here)[0] == "warning"
    assert "weaver_unpushed_commits 1.0" in here.text("/metrics")
    here.kill_daemon()
    bare.with_name("away").rename(bare)
    assert there(here, bare) == first
    here.up()
    until(lambda: there(here, bare) == second)
    until(lambda: here.status()["push"]["waiting"] == 0)


def test_a_side_that_moved_is_said_and_is_pushed_to_once_the_person_pulled(
    here: Station, bare: Path, tmp_path: Path
) -> None:
    begun(here)
    here.git("push", "-q", "-u", "origin", "main")
    other = tmp_path / "other"
    here.git("clone", "-q", str(bare), str(other))
    (other / "README").write_text("words\n")
    here.git("-C", str(other), "add", "README")
    identity = ("-c", "user.name=Bob", "-c", "user.email=bob@example.org")
    here.git("-C", str(other), *identity, "commit", "-q", "-m", "words")
    here.git("-C", str(other), "push", "-q", "origin", "main")
    theirs = there(here, bare)
    put(here, "debug")
    until(lambda: here.status()["push"]["reasonCode"] == "RemoteMoved")
    [trouble] = here.status()["daemon"]["troubles"]
    assert trouble.endswith("; mend: git pull --rebase origin main")
    assert there(here, bare) == theirs
    here.git("pull", "-q", "--rebase", "origin", "main")
    head = here.git("rev-parse", "HEAD").strip()
    until(lambda: there(here, bare) == head)
    until(lambda: not here.status()["daemon"]["troubles"])
    [told] = [one for one in here.events() if one["kind"] == "git.unpushed"]
    assert told["data"] == {"code": "RemoteMoved", "waiting": 1}
