"""The whole life of a repository whose pushes are deploys, told as the people in it live it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.deploying import Deployment, run

pytestmark = pytest.mark.real

PAIR = "instances: 2\nupdate: {minReady: 100ms}\n"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Deployment]:
    """Give a host, an empty place for a repository, and Ada's clone of it."""
    made = Deployment(tmp_path)
    try:
        yield made
    finally:
        made.down()


def test_from_the_first_push_to_a_history_that_somebody_rewrote(
    here: Deployment, tmp_path: Path
) -> None:
    make_a_repository(here)
    push_a_service(here)
    propose_a_change(here, tmp_path / "ben")
    merge_it(here)
    push_what_is_no_manifest(here)
    push_what_cannot_serve(here)
    take_everything_away(here)
    rewrite_the_history(here)


def make_a_repository(here: Deployment) -> None:
    """Follow what is empty yet; the first push starts what it brings."""
    here.weaver("init", "--bare", str(here.bare))
    assert "is empty: the first push of main starts what it brings" in here.follow()
    here.define("web", more=PAIR)
    told = here.deploy("db")
    assert re.fullmatch(r"2 services as wanted after \d\.\d s", told[-1])


def push_a_service(here: Deployment) -> None:
    """Deploy by a push, which is answered with what becomes of it."""
    told = here.deploy("api")
    assert re.fullmatch(r"api  started  healthy in \d\.\d s", told[0])
    assert re.fullmatch(r"1 service as wanted after \d\.\d s", told[-1])


def propose_a_change(here: Deployment, ben: Path) -> None:
    """Review what Ben proposes: what it would do is known before it is done."""
    run("git", "clone", "-q", str(here.bare), str(ben))
    run("git", "-C", str(ben), "switch", "-qc", "faster")
    web = ben / "services.d" / "web.yaml"
    web.write_text(web.read_text() + "env: {WORKERS: '4'}\n")
    run("git", "-C", str(ben), "commit", "-qam", "Have more workers", author="Ben")
    review = here.weaver("-C", str(ben), "diff", "origin/main...HEAD", "-o", "markdown", code=1)
    assert "2 running processes affected: web." in review
    run("git", "-C", str(ben), "push", "-q", "origin", "faster")


def merge_it(here: Deployment) -> None:
    """Merge it, and exactly that happens."""
    before = here.pids()
    here.git("fetch", "-q", "origin")
    here.git("merge", "-q", "--no-ff", "-m", "Merge faster", "origin/faster")
    told = here.push()
    assert re.fullmatch(r"1 service as wanted after \d\.\d s", told[-1])
    after = here.pids()
    assert {name for name in after if after[name] != before[name]} == {"web-0", "web-1"}
    here.git("tag", "good")


def push_what_is_no_manifest(here: Deployment) -> None:
    """Be refused with every fault, its place and its mend."""
    here.file("web").write_text("name: web\ncomand: x\n")
    here.file("db").write_text("name: db\ncommand: x\nport: many\n")
    here.commit()
    refusal = here.push(refused=True)
    assert [line.split()[0] for line in refusal if line.startswith("services.d")] == [
        "services.d/db.yaml:3:7:",
        "services.d/web.yaml:2:1:",
    ]
    assert "    mend: did you mean `command`?" in refusal
    assert refusal[-1].startswith("refused: 2 errors in the manifests of main")
    here.git("reset", "-q", "--hard", "good")


def push_what_cannot_serve(here: Deployment) -> None:
    """See what is valid and cannot serve held by itself, while the version before serves on."""
    running = here.pids()
    told = here.deploy("web", "false", PAIR)
    assert told[0].startswith("web-2  cannot start  exited with 1")
    assert told[-1].startswith("accepted, but not as wanted: ")
    web_now = here.service("web")
    assert (web_now["reasonCode"], web_now["health"]) == ("Quarantined", "Healthy")
    assert here.pids() == running
    bad, served = (here.git("rev-parse", name).strip() for name in ("HEAD", "good"))
    assert here.commits("web") == {"attempted": bad, "applied": served, "healthy": served}
    assert here.commits("db") == {"attempted": bad, "applied": bad, "healthy": bad}
    here.git("revert", "--no-edit", "HEAD")
    assert here.push() == ["accepted: no running service is affected"]


def take_everything_away(here: Deployment) -> None:
    """Take every manifest away, and nothing stops for it."""
    running = here.pids()
    here.git("rm", "-q", "-r", "services.d")
    here.git("commit", "-qm", "Oops")
    told = here.push()
    assert re.fullmatch(r"held: .*; mend: weaver prune approve \w+, or .*", told[0])
    assert told[1:] == ["accepted: no running service is affected"]
    assert here.pids() == running
    assert {one["sync"] for one in here.status()["services"]} == {"Held"}


def rewrite_the_history(here: Deployment) -> None:
    """Rewrite the history, which is not followed before somebody has looked at it."""
    here.git("reset", "-q", "--hard", "good")
    here.file("api").unlink()
    here.commit()
    running = here.pids()
    told = here.push("--force")
    assert "the history of main was rewritten" in told[0]
    assert here.pids() == running
    source = here.status()["source"]
    assert (source["reasonCode"], here.service("web")["sync"]) == ("HistoryRewritten", "Unknown")
    accepted = here.weaver("accept-history", source["fetched"][:12])
    assert "is followed from now on" in accepted
    assert here.pids() == running, "what is left of a removal that waits, waits on"
    here.weaver("prune", "approve", here.status()["prune"]["id"])
    running.pop("api-0")
    assert here.pids() == running
