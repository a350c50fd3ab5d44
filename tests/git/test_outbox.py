"""The branch of a checkout and the one that it is pushed to: by git itself, over a folder."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from reconciler.adapters.git.remote.outbox import CheckoutOutbox
from reconciler.core.heads import Relation
from reconciler.core.pushes import Compared, PushHeld, PushHold, decide
from reconciler.ports import ConflictError, ForbiddenError, HostError, ManifestError
from reconciler.ports.outbox import Waiting
from tests.git.scratch import Scratch, make

pytestmark = pytest.mark.real

OURS = "web: set env.LEVEL=debug\n\nWeaver-Op: set\nWeaver-Op-Id: {}\n"


class Pair:
    """A checkout, the bare repository that it is pushed to, and somebody else's clone."""

    def __init__(self, scratch: Scratch, folder: Path) -> None:
        self.scratch = scratch
        self.bare = folder / "deploy.git"
        scratch.git("clone", "-q", "--bare", str(scratch.top), str(self.bare))
        scratch.git("remote", "add", "origin", str(self.bare))
        scratch.git("fetch", "-q", "origin")
        self.state = folder / "state"
        self.made = 0
        self.outbox = CheckoutOutbox(scratch.root, self.state / "outbox.git")

    def ours(self) -> str:
        """Commit as Weaver does."""
        self.made += 1
        self.scratch.write("services.d/web.yaml", f"name: web\ncommand: x{self.made}\n")
        return self.scratch.commit(OURS.format(self.made))

    def theirs(self, name: str = "late") -> None:
        """Have somebody else push."""
        other = self.scratch.top.parent / "other"
        if not other.exists():
            self.scratch.git("clone", "-q", str(self.bare), str(other))
        place = ("-C", str(other))
        self.scratch.git(*place, "pull", "-q")
        (other / name).write_text("x")
        self.scratch.git(*place, "add", ".")
        self.scratch.git(*place, "commit", "-q", "-m", name)
        self.scratch.git(*place, "push", "-q", "origin", "main")

    def there(self, branch: str = "main") -> str:
        place = ("-C", str(self.bare))
        return self.scratch.git(*place, "rev-parse", "-q", "--verify", branch, check=False).strip()

    def tracking(self) -> str:
        return self.scratch.git("rev-parse", "refs/remotes/origin/main").strip()

    def waiting(self) -> Waiting:
        return asyncio.run(self.outbox.waiting())

    def compare(self) -> Compared:
        waiting = self.waiting()
        assert waiting.target
        return asyncio.run(self.outbox.compare(waiting, waiting.target))

    def push(self) -> None:
        found = self.compare()
        assert decide(found) is None
        asyncio.run(self.outbox.push(found))

    def held(self) -> PushHeld:
        held = decide(self.compare())
        assert held is not None
        return held


@pytest.fixture
def pair(scratch: Scratch, tmp_path: Path) -> Pair:
    return Pair(scratch, tmp_path)


def test_commits_of_ours_are_pushed_and_the_person_s_git_knows(pair: Pair) -> None:
    assert pair.waiting().ours == 0
    before = pair.outbox.mark()
    pair.ours()
    head = pair.ours()
    assert pair.waiting().ours == 2
    assert pair.outbox.mark() != before
    pair.push()
    assert pair.there() == pair.tracking() == head
    assert pair.waiting().ours == 0
    assert pair.scratch.status() == []
    assert pair.scratch.fsck() == ""


def test_what_only_a_person_committed_is_left_to_that_person(pair: Pair) -> None:
    pair.scratch.commit("mine")
    assert pair.waiting().ours == 0
    pair.ours()
    head = pair.scratch.commit("mine, on top")
    assert pair.compare().ours == 1
    pair.push()
    assert pair.there() == head, "a branch is pushed whole"


def test_what_was_pushed_and_not_noted_is_found_to_be_there(pair: Pair) -> None:
    head = pair.ours()
    pair.scratch.git("push", "-q", str(pair.bare), "main")
    assert pair.waiting().ours == 1, "by its address: nothing here was noted"
    found = pair.compare()
    assert (found.relation, found.ours) == (Relation.SAME, 0)
    assert pair.tracking() == head
    assert pair.waiting().ours == 0


def test_g6_a_side_that_moved_is_held_until_the_person_has_pulled(pair: Pair) -> None:
    pair.ours()
    pair.theirs()
    there, held = pair.there(), pair.held()
    assert held.code is PushHold.REMOTE_MOVED
    assert str(held) == (
        "main of origin has commits that are not here; mend: git pull --rebase origin main"
    )
    assert pair.scratch.git("cat-file", "-t", there, check=False) == "", "it is not put in here"
    pair.scratch.git("pull", "-q", "--rebase", "origin", "main")
    pair.push()
    assert pair.there() == pair.scratch.head()


def test_a_merge_is_as_good_as_a_rebase(pair: Pair) -> None:
    pair.ours()
    pair.theirs()
    pair.scratch.git("pull", "-q", "--no-rebase", "origin", "main")
    pair.push()
    assert pair.there() == pair.scratch.head()


def test_a_race_lost_at_the_last_moment_moves_nothing(pair: Pair) -> None:
    pair.ours()
    found = pair.compare()
    pair.theirs()
    there = pair.there()
    with pytest.raises(ConflictError, match="main of origin has moved meanwhile"):
        asyncio.run(pair.outbox.push(found))
    assert pair.there() == there
    assert pair.tracking() != there


def test_g5_what_somebody_took_out_there_is_not_brought_back(pair: Pair) -> None:
    base = pair.there()
    pair.ours()
    pair.push()
    pair.scratch.git("-C", str(pair.bare), "update-ref", "refs/heads/main", base)
    pair.scratch.git("fetch", "-q", "origin")
    pair.ours()
    held = pair.held()
    assert held.code is PushHold.REMOTE_SET_BACK
    assert f"main of origin was set back to {base[:12]}" in held.because
    pair.scratch.git("reset", "-q", "--keep", base)
    pair.ours()
    pair.push()
    assert pair.there() == pair.scratch.head()


def test_a_branch_that_is_gone_is_not_made_anew_and_a_new_one_is(pair: Pair) -> None:
    pair.ours()
    pair.scratch.git("-C", str(pair.bare), "update-ref", "-d", "refs/heads/main")
    assert pair.held().code is PushHold.BRANCH_GONE
    pair.scratch.git("switch", "-q", "-c", "fresh")
    pair.push()
    assert pair.there("fresh") == pair.scratch.head()


def test_a_side_that_is_down_or_says_no_is_said_with_what_helps(pair: Pair) -> None:
    pair.ours()
    pair.bare.rename(pair.bare.with_name("away"))
    with pytest.raises(HostError, match="cannot reach"):
        pair.compare()
    pair.bare.with_name("away").rename(pair.bare)
    hook = pair.bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho main is protected >&2; exit 1\n")
    hook.chmod(0o755)
    with pytest.raises(ForbiddenError, match="main is protected"):
        pair.push()
    hook.unlink()
    pair.push()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        pytest.param([("remote.origin.url", "ext::sh -c touch% {}")], "a program", id="ext"),
        pytest.param([("remote.origin.url", "--upload-pack={}")], "as options do", id="option"),
        pytest.param([("remote.origin.pushurl", "ssh://-oProxyCommand=x/y")], "no host", id="host"),
    ],
)
def test_an_address_that_would_run_something_gets_nowhere(
    pair: Pair, tmp_path: Path, settings: list[tuple[str, str]], reason: str
) -> None:
    pair.ours()
    for name, value in settings:
        pair.scratch.git("config", name, value.format(tmp_path / "ran"))
    with pytest.raises(ManifestError, match=reason):
        pair.waiting()
    assert not (tmp_path / "ran").exists()


def test_g14_nothing_of_the_checkout_s_own_settings_is_run(pair: Pair, tmp_path: Path) -> None:
    pair.ours()
    pair.theirs()
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >> {ran}\nexit 1\n")
    program.chmod(0o755)
    hook = pair.scratch.top / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_bytes(program.read_bytes())
    hook.chmod(0o755)
    for name in (
        "remote.origin.receivepack",
        "remote.origin.uploadpack",
        "remote.origin.vcs",
        "core.sshCommand",
        "core.alternateRefsCommand",
        "core.fsmonitor",
        "credential.helper",
    ):
        pair.scratch.git("config", name, str(program))
    assert pair.held().code is PushHold.REMOTE_MOVED
    pair.scratch.git("-C", str(pair.bare), "update-ref", "refs/heads/main", "main~")
    pair.push()
    assert not ran.exists()


def test_two_addresses_are_one_too_many(pair: Pair) -> None:
    pair.ours()
    pair.scratch.git("remote", "set-url", "--add", "--push", "origin", str(pair.bare))
    pair.scratch.git("remote", "set-url", "--add", "--push", "origin", "/srv/other.git")
    with pytest.raises(ManifestError, match="origin has 2 addresses"):
        pair.waiting()


def test_a_shallow_clone_and_a_linked_work_tree_are_pushed_too(pair: Pair, tmp_path: Path) -> None:
    pair.scratch.commit("one more")
    pair.scratch.git("push", "-q", "origin", "main")
    place = tmp_path / "a:b" / "clone"
    pair.scratch.git("clone", "-q", "--depth=1", f"file://{pair.bare}", str(place))
    clone = Scratch(top=place, root=place)
    linked = Scratch(top=tmp_path / "linked", root=tmp_path / "linked")
    clone.git("worktree", "add", "-q", "-b", "side", str(linked.top))
    linked.git("branch", "-q", "--set-upstream-to=origin/main")
    linked.write("services.d/web.yaml", "name: web\ncommand: y\n")
    head = linked.commit(OURS.format("1"))
    pair.scratch = linked
    pair.outbox = CheckoutOutbox(linked.root, tmp_path / "second" / "outbox.git")
    pair.push()
    assert pair.there() == head, "to the branch that it goes to, whatever it is called here"


def test_another_place_is_compared_with_for_itself(pair: Pair, tmp_path: Path) -> None:
    pair.ours()
    pair.push()
    pair.bare = tmp_path / "second.git"
    pair.scratch.git("init", "-q", "--bare", "-b", "main", str(pair.bare))
    pair.scratch.git("remote", "add", "second", str(pair.bare))
    pair.scratch.git("config", "remote.pushDefault", "second")
    assert pair.waiting().ours == 1
    pair.push()
    assert pair.there() == pair.scratch.head()


def test_without_a_branch_or_a_remote_nothing_is_pushed(pair: Pair, tmp_path: Path) -> None:
    pair.ours()
    pair.scratch.git("switch", "-q", "--detach")
    assert pair.waiting().target is None
    alone = make(tmp_path / "alone")
    outbox = CheckoutOutbox(alone.root, tmp_path / "third" / "outbox.git")
    assert asyncio.run(outbox.waiting()) == Waiting()
    alone.commit("first")
    held = asyncio.run(outbox.waiting()).held
    assert str(held) == "this repository has no remote; mend: git remote add origin URL"


def test_g8_a_daemon_that_leaves_waits_for_no_answer(pair: Pair) -> None:
    """A side that takes the call and says nothing holds git for as long as it may take."""
    pair.ours()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"git://127.0.0.1:{silent.getsockname()[1]}/deploy.git"
        pair.scratch.git("remote", "set-url", "origin", address)

        async def leave() -> None:
            waiting = await pair.outbox.waiting()
            assert waiting.target
            talk = asyncio.create_task(pair.outbox.compare(waiting, waiting.target))
            caller, _ = await asyncio.to_thread(silent.accept)
            with caller:
                pair.outbox.close()
                async with asyncio.timeout(5):
                    with pytest.raises(HostError, match="cannot reach"):
                        await talk
            with pytest.raises(HostError, match="nobody waits for it any more"):
                await pair.outbox.compare(waiting, waiting.target)

        asyncio.run(leave())
