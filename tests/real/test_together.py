"""Many who change manifests at once: everything lands, in few commits, and nobody waits long."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.real.station import QUICK, Json, Station

pytestmark = pytest.mark.real

CLIENTS, EACH = 16, 5


def applied(here: Station, who: int, nth: int) -> list[Json]:
    text = f"name: s{who}-{nth}\ncommand: sleep 1000\nstate: stopped\n{QUICK}"
    author = {"name": f"P{who % 2}", "email": f"p{who % 2}@example.org"}
    return here.tell(
        "/v1/changes",
        kind="apply",
        author=author,
        documents=[{"text": text}],
        wait=False,
        reason=f"{who}/{nth}",
    )


def test_all_of_eighty_changes_land_and_none_is_lost(here: Station) -> None:
    here.define("web")
    here.commit()
    here.up()
    assert here.settle()["exitCode"] == 0

    def client(who: int) -> list[list[Json]]:
        return [applied(here, who, nth) for nth in range(EACH)]

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(client, range(CLIENTS)))
    assert {one[-1]["exitCode"] for many in answers for one in many} == {0}
    files = here.git("ls-tree", "--name-only", "HEAD", "services.d/").split()
    assert len(files) == CLIENTS * EACH + 1
    assert int(here.git("rev-list", "--count", "HEAD")) < CLIENTS * EACH / 2
    assert here.git("status", "--porcelain", "services.d") == ""
    told = here.git("log", "--format=%(trailers:only)")
    ids = [one for line in told.splitlines() for one in named(line, "Weaver-Op-Id").split(", ")]
    assert len({*filter(None, ids)}) == CLIENTS * EACH
    reasons = [line.rpartition(": ")[2] for line in told.splitlines()]
    for who, many in enumerate(answers):
        assert f"{who}/{EACH - 1}" in reasons
        [commit] = [message["sha"] for message in many[-1] if message["type"] == "commit"]
        assert f"name: s{who}-4" in here.git("show", f"{commit}:services.d/s{who}-4.yaml")
        author = here.git("show", "-s", "--format=%an", commit).strip()
        assert author == f"P{who % 2}"


def named(line: str, key: str) -> str:
    return line.partition(": ")[2] if line.startswith(f"{key}:") else ""
