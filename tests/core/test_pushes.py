"""Where a branch is pushed to, and what is left to a person."""

from __future__ import annotations

import pytest

from reconciler.core.heads import Relation
from reconciler.core.pushes import Compared, PushHeld, PushHold, Settings, Target, choose, decide

ORIGIN = {
    "remote.origin.url": ["/srv/deploy.git"],
    "remote.origin.fetch": ["+refs/heads/*:refs/remotes/origin/*"],
}
FORK = {"remote.fork.url": ["/srv/fork.git"]}
UPSTREAM = {"branch.main.remote": ["origin"], "branch.main.merge": ["refs/heads/live"]}


@pytest.mark.parametrize(
    ("settings", "remote", "branch", "tracking"),
    [
        pytest.param(ORIGIN, "origin", "main", "refs/remotes/origin/main", id="the only one"),
        pytest.param(FORK, "fork", "main", "", id="the only one, by another name"),
        pytest.param(
            {**ORIGIN, **FORK}, "origin", "main", "refs/remotes/origin/main", id="origin of two"
        ),
        pytest.param(
            {**ORIGIN, **FORK, **UPSTREAM},
            "origin",
            "live",
            "refs/remotes/origin/live",
            id="where it comes from",
        ),
        pytest.param(
            {**ORIGIN, **FORK, **UPSTREAM, "branch.main.pushremote": ["fork"]},
            "fork",
            "main",
            "",
            id="where it is to be pushed",
        ),
        pytest.param(
            {**ORIGIN, **FORK, "remote.pushdefault": ["origin", "fork"]},
            "fork",
            "main",
            "",
            id="where all are to be pushed, the last word",
        ),
        pytest.param(
            {"remote.o.pushurl": ["x"], "remote.o.fetch": ["+refs/heads/main:refs/remotes/o/m"]},
            "o",
            "main",
            "refs/remotes/o/m",
            id="one branch is fetched",
        ),
        pytest.param(
            {"remote.o.url": ["x"], "remote.o.fetch": ["+refs/heads/*:refs/heads/*"]},
            "o",
            "main",
            "",
            id="branches here are nobody's to move",
        ),
        pytest.param(
            {"remote.o.url": ["x"], "remote.o.fetch": ["+refs/heads/rel-*:refs/remotes/o/*"]},
            "o",
            "main",
            "",
            id="others are fetched",
        ),
    ],
)
def test_a_branch_goes_where_git_would_push_it(
    settings: Settings, remote: str, branch: str, tracking: str
) -> None:
    assert choose(settings, "main") == Target(
        local="main", remote=remote, branch=branch, tracking=tracking
    )


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        pytest.param({}, "this repository has no remote", id="none"),
        pytest.param(
            {**FORK, "remote.other.url": ["y"]},
            "nothing says which of fork, other main goes to",
            id="two",
        ),
        pytest.param(
            {**ORIGIN, "branch.main.remote": ["."]},
            "main goes to another branch of this very repository",
            id="itself",
        ),
        pytest.param(
            {**ORIGIN, "branch.main.remote": ["https://example.org/x"]},
            "'https://example.org/x', where main goes, is no remote of this repository",
            id="an address",
        ),
        pytest.param(
            {"remote.--exec=x.url": ["y"]},
            "'--exec=x', where main goes, is no remote of this repository",
            id="an option",
        ),
        pytest.param(
            {**ORIGIN, "branch.main.remote": ["origin"], "branch.main.merge": ["refs/tags/v1"]},
            "main goes to refs/tags/v1, which is no branch",
            id="a tag",
        ),
    ],
)
def test_a_branch_that_goes_nowhere_is_not_pushed(settings: Settings, reason: str) -> None:
    held = choose(settings, "main")
    assert isinstance(held, PushHeld)
    assert (held.code, held.because) == (PushHold.NO_REMOTE, reason)
    assert held.mend.startswith("git ")


@pytest.mark.parametrize(
    ("there", "known", "relation", "brings_back", "code"),
    [
        pytest.param("a1", "a1", Relation.AHEAD, False, None, id="newer"),
        pytest.param("", "", Relation.FIRST, False, None, id="new there"),
        pytest.param("", "a1", Relation.FIRST, False, PushHold.BRANCH_GONE, id="gone"),
        pytest.param("c3", "a1", Relation.REWRITTEN, False, PushHold.REMOTE_MOVED, id="moved"),
        pytest.param("a1", "b2", Relation.AHEAD, True, PushHold.REMOTE_SET_BACK, id="set back"),
        pytest.param(
            "c3", "b2", Relation.REWRITTEN, True, PushHold.REMOTE_SET_BACK, id="set back and moved"
        ),
    ],
)
def test_only_what_is_plainly_newer_is_pushed(
    *, there: str, known: str, relation: Relation, brings_back: bool, code: PushHold | None
) -> None:
    held = decide(
        Compared(
            target=Target(local="main", remote="origin", branch="my branch"),
            head="b9",
            there=there,
            relation=relation,
            ours=1,
            known=known,
            brings_back=brings_back,
        )
    )
    assert (held and held.code) == code
    assert held is None or "'" in held.mend, "what a shell would split is quoted"
