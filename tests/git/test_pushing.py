"""Changes of a branch that is followed: built in the mirror, pushed, made anew on a lost race."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from reconciler.adapters.git.remote.address import check_url
from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.pushing import PushRacedError
from reconciler.adapters.git.remote.repository import FollowedRepository, Ties
from reconciler.adapters.git.remote.signatures import Signers
from reconciler.core.trust import Keys
from reconciler.manifest.intent import Intent, SetField
from reconciler.model.units import ServiceName
from reconciler.ports import (
    Author,
    BlockedError,
    CommitRequest,
    ConflictError,
    ForbiddenError,
    HostError,
    NotFoundError,
)
from tests.git.scratch import Scratch

pytestmark = pytest.mark.real

WEB = ServiceName("web")
CAROL = Author(name="Carol", email="carol@example.org", uid=1000)


class Branch:
    """A bare repository that people push to, and a host's mirror of it."""

    def __init__(self, scratch: Scratch, folder: Path) -> None:
        self.scratch = scratch
        self.bare = folder / "deploy.git"
        scratch.git("clone", "-q", "--bare", str(scratch.top), str(self.bare))
        scratch.git("remote", "add", "origin", str(self.bare))
        self.mirror = Mirror(folder / "mirror.git", check_url(str(self.bare), Path("/")), "main")
        self.mirror.open()
        self.follow()
        self.held = ""
        self.sign = ""
        self.before_look: Callable[[], object] = lambda: None
        self.looks = 0

    def follow(self) -> None:
        self.mirror.advance(self.mirror.fetch(), self.mirror.verified())

    async def look(self) -> None:
        self.looks += 1
        self.before_look()
        self.follow()

    async def adopt(self, commit: str) -> None:
        self.mirror.advance(commit, self.mirror.verified())

    def push(self, name: str, text: str) -> None:
        """Push as somebody else would."""
        self.scratch.write(name, text)
        self.scratch.commit(f"change {name}")
        self.scratch.git("push", "-q", "origin", "main")

    def hook(self, name: str, text: str) -> None:
        place = self.bare / "hooks" / name
        place.write_text(f"#!/bin/sh\n{text}\n")
        place.chmod(0o755)

    def log(self) -> list[str]:
        said = self.scratch.git("-C", str(self.bare), "log", "--format=%s", "main")
        return said.splitlines()

    def at(self, name: str) -> str:
        return self.scratch.git("-C", str(self.bare), "show", f"main:{name}")

    def play(self, scene: Callable[[FollowedRepository], Awaitable[object]]) -> None:
        async def act() -> None:
            ties = Ties(
                look=self.look,
                adopt=self.adopt,
                held=lambda: self.held,
                luck=lambda: 0.0,
                sign=lambda: self.sign,
            )
            repository = FollowedRepository(self.mirror, "/srv/home", ties)
            try:
                await scene(repository)
            finally:
                await repository.close()

        asyncio.run(act())


@pytest.fixture
def branch(scratch: Scratch, tmp_path: Path) -> Branch:
    return Branch(scratch, tmp_path)


def asking(value: str, *, if_revision: str = "", key: str = "LEVEL") -> CommitRequest:
    intent: Intent = SetField(service=WEB, path=("env", key), value=value)
    return CommitRequest(
        intents=(intent,),
        subject=f"web: set env.{key}={value}",
        author=CAROL,
        op="set",
        op_id="1234",
        services=(WEB,),
        if_revision=if_revision,
    )


def test_a_change_is_pushed_and_followed_and_can_be_taken_back(branch: Branch) -> None:
    async def scene(repository: FollowedRepository) -> None:
        done = await repository.commit(asking("debug"))
        assert (done.changed, done.pushed, done.files) == (True, True, ("services.d/web.yaml",))
        assert done.notes == (f"pushed to {branch.bare}",)
        assert branch.mirror.verified() == branch.mirror.look() == done.commit
        assert "LEVEL: debug" in branch.at("services.d/web.yaml")
        assert "# behind nginx" in branch.at("services.d/web.yaml")
        assert not (await repository.commit(asking("debug"))).changed
        await repository.undo(CAROL, "77aa")

    branch.play(scene)
    assert branch.log()[:2] == ["undo: web: set env.LEVEL=debug", "web: set env.LEVEL=debug"]
    assert branch.looks == 0, "who was not raced needs no look"


def test_changes_and_what_takes_them_back_are_signed_by_the_key_of_the_host(
    branch: Branch, tmp_path: Path
) -> None:
    before = branch.mirror.verified()
    branch.sign = str(make_key(tmp_path / "key"))
    public = (tmp_path / "key.pub").read_text()
    (tmp_path / "allowed").write_text(f"weaver@weaver.invalid {public}")

    async def scene(repository: FollowedRepository) -> None:
        await repository.commit(asking("debug"))
        await repository.undo(CAROL, "77aa")

    branch.play(scene)
    keys = Keys(allowed_signers=str(tmp_path / "allowed"))
    after = branch.mirror.verified()
    found = Signers().of(branch.mirror.repo, before, after, keys, every=True)
    assert [(one.status, one.signer) for one in found] == [("G", "weaver@weaver.invalid")] * 2


def test_with_a_key_that_cannot_be_used_nothing_is_committed(
    branch: Branch, tmp_path: Path
) -> None:
    before = branch.log()

    async def scene(repository: FollowedRepository) -> None:
        for branch.sign in (str(tmp_path / "none"), str(locked)):
            with pytest.raises(HostError, match=r"cannot sign the commit with .+: ") as refused:
                await repository.commit(asking("debug"))
            assert "without a passphrase" in refused.value.mend

    locked = make_key(tmp_path / "locked", "secret")
    branch.play(scene)
    assert branch.log() == before


def make_key(place: Path, passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", place], check=True)
    return place


def test_g6_a_lost_race_is_run_again_and_nobody_s_change_is_lost(branch: Branch) -> None:
    theirs = branch.scratch.path("services.d/web.yaml").read_text().replace("8000", "9999")

    async def scene(repository: FollowedRepository) -> None:
        branch.push("services.d/web.yaml", theirs)
        branch.before_look = lambda: (
            branch.push("services.d/late.yaml", "name: late\ncommand: x\n")
            if branch.looks == 1
            else None
        )
        await repository.commit(asking("debug"))

    branch.play(scene)
    assert branch.log()[0] == "web: set env.LEVEL=debug"
    text = branch.at("services.d/web.yaml")
    assert "9999" in text
    assert "LEVEL: debug" in text
    assert branch.at("services.d/late.yaml").startswith("name: late")


def test_many_at_once_all_land_one_after_the_other(branch: Branch) -> None:
    async def scene(repository: FollowedRepository) -> None:
        done = await asyncio.gather(
            *(repository.commit(asking("1", key=f"K{number}")) for number in range(8))
        )
        assert len({one.commit for one in done}) == 8

    branch.play(scene)
    assert all(f"K{number}: 1" in branch.at("services.d/web.yaml") for number in range(8))


def test_what_the_other_side_does_not_take_is_said_in_its_words(branch: Branch) -> None:
    branch.hook("pre-receive", "echo main is protected >&2; exit 1")

    async def scene(repository: FollowedRepository) -> None:
        before = branch.mirror.verified()
        with pytest.raises(ForbiddenError, match="main is protected") as refused:
            await repository.commit(asking("debug"))
        assert (refused.value.exit_code, branch.mirror.verified()) == (3, before)

    branch.play(scene)


def test_a_side_that_is_down_takes_nothing_and_nothing_is_half_written(branch: Branch) -> None:
    async def scene(repository: FollowedRepository) -> None:
        before = branch.mirror.verified()
        branch.bare.rename(branch.bare.with_name("elsewhere.git"))
        with pytest.raises(HostError, match="cannot reach"):
            await repository.commit(asking("debug"))
        branch.bare.with_name("elsewhere.git").rename(branch.bare)
        assert branch.mirror.verified() == before
        assert branch.log()[0] == "two services"

    branch.play(scene)


def test_a_push_that_is_taken_late_is_not_cut_off(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook over there may tell for long how hosts converge; the change is in already."""

    async def scene(repository: FollowedRepository) -> None:
        await repository.commit(asking("info"))  # the process that writes is warm from now on
        monkeypatch.setattr("reconciler.adapters.git.remote.repository.TOGETHER_S", 1.0)
        branch.hook("post-receive", "sleep 1.2")
        assert (await repository.commit(asking("debug"))).changed

    branch.play(scene)
    assert branch.mirror.verified() == branch.mirror.look()


def test_nothing_is_built_on_a_branch_that_is_held(branch: Branch) -> None:
    async def scene(repository: FollowedRepository) -> None:
        branch.held = "its history was rewritten"
        with pytest.raises(BlockedError, match="history was rewritten"):
            await repository.commit(asking("debug"))

    branch.play(scene)


def test_who_compares_with_a_revision_is_compared_with_the_newest(branch: Branch) -> None:
    async def scene(repository: FollowedRepository) -> None:
        old = branch.mirror.verified()
        branch.push("services.d/late.yaml", "name: late\ncommand: x\n")
        with pytest.raises(ConflictError, match="not at"):
            await repository.commit(asking("debug", if_revision=old))
        newest = branch.mirror.verified()
        assert (await repository.commit(asking("debug", if_revision=newest))).changed

    branch.play(scene)


def test_a_change_of_what_is_gone_by_then_is_refused(branch: Branch) -> None:
    async def scene(repository: FollowedRepository) -> None:
        branch.scratch.path("services.d/web.yaml").unlink()
        branch.scratch.git("rm", "-q", "--cached", "services.d/web.yaml")
        branch.push("README", "words")
        with pytest.raises(NotFoundError):
            await repository.commit(asking("debug"))

    branch.play(scene)
    assert branch.looks == 1, "the first try was raced"


def test_a_push_whose_answer_is_lost_is_no_failure(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    push = branch.mirror.push

    def breaks(commit: str, home: str) -> None:
        push(commit, home)
        raise HostError("the connection broke")

    monkeypatch.setattr(branch.mirror, "push", breaks)

    async def scene(repository: FollowedRepository) -> None:
        since = branch.mirror.verified()
        done = await repository.commit(asking("debug"))
        assert done.changed
        assert await repository.landed("1234", since) == branch.mirror.verified() == done.commit
        assert await repository.landed("1234", done.commit) == "", "it came before that"
        assert await repository.landed("123", since) == ""
        branch.held = "the history was rewritten"
        with pytest.raises(HostError, match="the history was rewritten"):
            await repository.landed("1234", since)

    branch.play(scene)


def test_what_another_daemon_was_pushing_as_it_died_is_not_done_again(
    branch: Branch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An undo that came after our first look would be undone by our own."""
    push = branch.mirror.push

    async def scene(repository: FollowedRepository) -> None:
        await repository.commit(asking("debug"))
        late: list[str] = []

        def raced(commit: str, home: str) -> None:
            if not late:
                late.append(commit)
                push(commit, home)
                raise PushRacedError("non-fast-forward")
            push(commit, home)

        monkeypatch.setattr(branch.mirror, "push", raced)
        done = await repository.undo(CAROL, "77aa")
        assert [done.commit] == late

    branch.play(scene)
    assert branch.log()[:2] == ["undo: web: set env.LEVEL=debug", "web: set env.LEVEL=debug"]


def test_who_lost_a_race_for_the_same_field_is_shown_all_three_values(branch: Branch) -> None:
    async def scene(repository: FollowedRepository) -> None:
        await repository.commit(asking("info"))
        branch.scratch.git("pull", "-q", "origin", "main")
        theirs = branch.scratch.path("services.d/web.yaml").read_text().replace("info", "warn")
        branch.push("services.d/web.yaml", theirs)
        line = next(n for n, text in enumerate(theirs.splitlines(), 1) if "  LEVEL:" in text)
        with pytest.raises(ConflictError) as refused:
            await repository.commit(asking("debug"))
        assert str(refused.value) == (
            "cannot change what somebody else changed meanwhile: env.LEVEL of web was info, you "
            f"want debug, and it is warn by now (services.d/web.yaml:{line}:10)"
        )
        assert refused.value.mend.startswith("see `weaver history web`; ask again")
        assert "LEVEL: warn" in branch.at("services.d/web.yaml")
        assert (await repository.commit(asking("debug"))).changed, "having seen it"

    branch.play(scene)
