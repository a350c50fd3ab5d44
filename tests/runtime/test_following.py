"""A branch elsewhere as the loop follows it, with a side that can misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler.core.heads import Relation, Step
from reconciler.core.trust import Keys, Signature, Verify
from reconciler.manifest.config import Config
from reconciler.manifest.intent import Intent, SetField
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.event import Happening
from reconciler.model.units import Nanos, ServiceName, seconds
from reconciler.ports import ConflictError, HostError, SourceHeldError
from reconciler.runtime.drafting import EnvFiles, Texts
from reconciler.runtime.following import Following, Hands
from tests.runtime.fakes import manifests, service

WEB = ServiceName("web")
NEVER = Config(poll=seconds(3600))
"""Nobody looks but who is hurried."""


@dataclass(frozen=True)
class Read:
    """What a reading gave: the texts themselves."""

    texts: Texts
    config: Config = NEVER
    env_files: EnvFiles = field(default_factory=dict)

    def assemble(self, revision: Revision) -> ManifestSet:
        specs = [service(Path(path).stem, data.decode()) for path, data in self.texts.items()]
        return replace(manifests(*specs), revision=revision)


class Side:
    """The other side: commits with their histories, and one branch. Implements `Upstream`."""

    address, branch = "/srv/deploy.git", "main"

    def __init__(self) -> None:
        self.texts: dict[str, Texts] = {}
        self.past: dict[str, tuple[str, ...]] = {"": ()}
        self.tip = ""
        self.kept = ""
        self.kept_fetched = ""
        self.trouble = ""
        self.looks = 0
        self.noted: list[Happening] = []
        self.touched = asyncio.Event()
        self.config = NEVER
        self.unsigned: set[str] = set()
        self.keys = Keys()

    def push(self, commit: str, onto: str | None = None, **texts: str) -> None:
        before = self.tip if onto is None else onto
        self.past[commit] = (*self.past[before], *([before] if before else []))
        self.texts[commit] = {f"services.d/{k}.yaml": v.encode() for k, v in texts.items()}
        self.tip = commit

    async def open(self) -> str:
        return self.kept

    async def look(self) -> str:
        self.looks += 1
        if self.trouble:
            raise HostError(self.trouble)
        return self.tip

    async def fetch(self) -> str:
        self.kept_fetched = self.tip
        return self.tip

    async def fetched(self) -> str:
        return self.kept_fetched

    async def compare(self, old: str, new: str) -> Step:
        relation = Relation.REWRITTEN
        if old in ("", new):
            relation = Relation.SAME if old else Relation.FIRST
        elif old in self.past[new]:
            relation = Relation.AHEAD
        elif new in self.past.get(old, ()):
            relation = Relation.BEHIND
        return Step(verified=old, fetched=new, relation=relation)

    async def advance(self, new: str, old: str) -> None:
        assert self.kept == old
        self.kept = new

    async def others(self) -> Sequence[str]:
        return ["trunk"]

    async def own_settings(self) -> Config:
        return self.config

    async def signatures(
        self, old: str, new: str, keys: Keys, *, every: bool
    ) -> Sequence[Signature]:
        self.keys = keys
        asked = [c for c in (*self.past[new], new) if c not in (*self.past[old], old)]
        return [
            Signature(commit=c, status="N" if c in self.unsigned else "G", signer="", author="Ana")
            for c in (asked if every else [new])
        ]

    async def read_commit(self, commit: str) -> Read:
        return Read(self.texts[commit])

    async def read_texts(self, texts: Texts, env_files: EnvFiles) -> Read:
        return Read(texts, env_files=env_files)

    async def replay(self, texts: Texts, intents: Sequence[Intent]) -> Mapping[str, bytes | None]:
        [one] = intents
        assert isinstance(one, SetField)
        assert f"services.d/{one.service}.yaml" in texts
        return {f"services.d/{one.service}.yaml": one.value.encode()}

    async def split(
        self, path: str, data: bytes, *, must_be_valid: bool
    ) -> Sequence[tuple[ServiceName, str]]:
        assert must_be_valid in (True, False)
        return [(ServiceName(Path(path).stem), data.decode())]

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await self.touched.wait()
            self.touched.clear()
            yield

    async def note(self, happening: Happening) -> None:
        self.noted.append(happening)

    def kinds(self) -> list[str]:
        return [happening.kind for happening in self.noted]

    def hands(self) -> Hands:
        def nothing(paths: Iterable[object]) -> None:
            assert not list(paths)

        def contents(paths: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
            assert not list(paths)
            return {}, {}

        return Hands(
            read_commit=self.read_commit,
            own_settings=self.own_settings,
            read_texts=self.read_texts,
            texts=self.texts.__getitem__,
            changes=self.changes,
            also_watch=nothing,
            contents=contents,
            replay=self.replay,
            split=self.split,
            now=lambda: Nanos(7),
            luck=lambda: 0.5,
            note=self.note,
        )


@asynccontextmanager
async def followed(side: Side) -> AsyncIterator[Following]:
    """Follow a side while the body runs; only who hurries looks."""
    following = Following(Path("/srv/home"), side, side.hands())
    following.settings.take(NEVER)
    task = asyncio.create_task(following.run())
    try:
        async with asyncio.timeout(5):
            yield following
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def played(scene: Callable[[Side], Awaitable[None]]) -> None:
    async def play() -> None:
        await scene(Side())

    asyncio.run(play())


def names(found: ManifestSet) -> list[str]:
    return sorted(found.definitions)


def test_what_is_pushed_is_followed_at_the_next_look() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            first = await following.read()
            assert (first.revision.commit, first.revision.branch) == ("a1", "main")
            side.push("b2", web="1", db="1")
            assert not await following.has_moved(first.revision)
            await following.look()
            assert await following.has_moved(first.revision)
            assert names(await following.read()) == ["db", "web"]
            assert (following.behind, following.trouble) == ("", "")
            assert side.kinds() == ["git.fetched", "git.fetched"]
            assert await following.includes("a1")
            assert not await following.includes("c3")

    played(scene)


def test_a_move_is_told_and_a_look_that_finds_nothing_is_not() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            changes = following.changes()
            await anext(changes)
            news = asyncio.ensure_future(anext(changes))
            await following.look()
            assert not news.done()
            side.push("b2", web="2")
            await following.look()
            await news
            side.touched.set()
            await anext(changes)

    played(scene)


def test_those_who_hurry_at_once_share_a_look_that_began_after_they_asked() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            before = side.looks
            await asyncio.gather(*(following.look() for _ in range(20)))
            assert 1 <= side.looks - before <= 2

    played(scene)


def test_g23_of_a_burst_of_commits_the_newest_is_followed() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            for number in range(100):
                side.push(f"b{number}", web=str(number))
            await following.look()
            assert (await following.read()).revision.commit == "b99"
            assert side.kinds() == ["git.fetched", "git.fetched"]

    played(scene)


@pytest.mark.parametrize(
    ("onto", "words"),
    [("", "does not descend from b2"), ("a1", "does not descend from b2")],
)
def test_g5_a_rewritten_history_is_held_until_somebody_accepts_it(onto: str, words: str) -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        side.push("b2", web="2")
        async with followed(side) as following:
            assert (await following.read()).revision.commit == "b2"
            side.push("c3c3c3c", onto=onto, db="1")
            await following.look()
            assert words in following.behind
            assert "weaver accept-history c3c3c3c" in following.behind
            assert names(await following.read()) == ["web"]
            assert side.noted[-1].data["code"] == "HistoryRewritten"
            with pytest.raises(ConflictError, match="main is at c3c3c3c"):
                await following.accept("d4d4d4d")
            with pytest.raises(ConflictError, match="main is at c3c3c3c"):
                await following.accept("c3")
            assert await following.accept("c3c3c3c") == "c3c3c3c"
            assert names(await following.read()) == ["db"]
            assert following.behind == ""
            with pytest.raises(ConflictError, match="no history waits"):
                await following.accept("c3c3c3c")

    played(scene)


def test_a_branch_that_is_set_back_is_held_and_followed_on_once_it_is_back() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        side.push("b2", web="2")
        async with followed(side) as following:
            await following.read()
            side.tip = "a1"
            await following.look()
            assert following.behind.startswith("main was set back from b2 to a1")
            side.tip = "b2"
            await following.look()
            assert following.behind == ""
            assert (await following.read()).revision.commit == "b2"

    played(scene)


def test_g3_a_branch_that_is_gone_takes_nothing_away() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            side.tip = ""
            await following.look()
            assert following.behind.startswith("there is no branch main; there is trunk, a1 stays")
            assert not following.awaits_first
            assert names(await following.read()) == ["web"]

    played(scene)


def test_g7_a_side_that_is_down_is_stale_after_three_looks_and_fresh_after_one() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            side.trouble = "cannot reach it"
            await following.look()
            assert (following.trouble, following.behind) == ("cannot reach it", "")
            await following.look()
            await following.look()
            assert (following.trouble, following.behind) == ("", "cannot reach it")
            assert side.noted[-1].data["code"] == "SourceStale"
            assert names(await following.read()) == ["web"]
            side.trouble = ""
            await following.look()
            assert (following.trouble, following.behind) == ("", "")

    played(scene)


def test_what_was_followed_before_is_read_though_the_side_is_down() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        side.kept, side.trouble = "a1", "cannot reach it"
        async with followed(side) as following:
            await following.resume()
            assert names(await following.read()) == ["web"]

    played(scene)


def test_with_nothing_ever_fetched_the_reason_is_told() -> None:
    async def scene(side: Side) -> None:
        side.trouble = "cannot reach it"
        async with followed(side) as following:
            with pytest.raises(SourceHeldError, match="cannot reach it"):
                await following.read()

    played(scene)


def test_a_defect_of_ours_ends_one_look_and_not_the_following(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            del side.past["a1"]
            side.texts["b2"], side.tip = side.texts["a1"], "b2"
            await following.look()
            assert "KeyError" in following.trouble
            side.past |= {"a1": (), "b2": ("a1",)}
            await following.look()
            assert (await following.read()).revision.commit == "b2"

    played(scene)
    assert "cannot follow /srv/deploy.git" in caplog.text


def test_a_change_is_tried_on_what_is_followed() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            draft = await following.drafts.draft([SetField(service=WEB, path=("x",), value="2")])
            assert draft.files == {"services.d/web.yaml": ("1", "2")}
            assert draft.manifests.revision.commit == "a1"
            assert await following.drafts.document("services.d/web.yaml", WEB) == "1"

    played(scene)


def test_people_are_shown_where_it_stands() -> None:
    async def scene(side: Side) -> None:
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            side.tip = ""
            await following.look()
            facts = following.facts()
            assert (facts.verified, facts.reason_code) == ("a1", "BranchGone")
            assert facts.seen_at == 7

    played(scene)


@pytest.mark.parametrize(
    ("verify", "is_followed"),
    [(Verify.OFF, True), (Verify.WARN, True), (Verify.HEAD, True), (Verify.RANGE, False)],
)
def test_an_unsigned_commit_in_the_middle_is_found_where_every_one_counts(
    verify: Verify, is_followed: bool
) -> None:
    async def scene(side: Side) -> None:
        side.config = replace(NEVER, verify=verify, allowed_signers="signers")
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            side.push("b2", web="2")
            side.push("c3c3c3c", web="3")
            side.unsigned = {"b2"}
            await following.look()
            found = (await following.read()).revision.commit
            assert found == ("c3c3c3c" if is_followed else "a1")
            told = [one.reason for one in side.noted if one.kind == "git.unsigned"]
            so = ["main is followed to c3c3c3c though b2 by Ana is not signed"]
            assert told == (so if verify is Verify.WARN else [])
            if verify is Verify.RANGE:
                assert "b2 by Ana is not signed" in following.behind
                assert following.facts().reason_code == "SignatureInvalid"
                assert side.keys.allowed_signers == "/srv/home/signers"
                await following.accept("c3c3c3c")
                assert (await following.read()).revision.commit == "c3c3c3c"

    played(scene)


def test_an_unsigned_head_is_held_until_a_signed_one_comes() -> None:
    async def scene(side: Side) -> None:
        side.config = replace(NEVER, verify=Verify.HEAD)
        side.push("a1", web="1")
        async with followed(side) as following:
            await following.read()
            side.push("b2", web="2")
            side.unsigned = {"b2"}
            await following.look()
            assert following.is_unsigned
            side.push("c3", web="3")
            await following.look()
            assert (await following.read()).revision.commit == "c3"

    played(scene)
