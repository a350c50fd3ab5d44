"""A checkout as the loop reads it, with hands that can misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler.manifest.config import Config
from reconciler.manifest.intent import Intent, SetField
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.spec import DesiredState, Need
from reconciler.model.units import ServiceName
from reconciler.ports import NotFoundError, SourceHeldError
from reconciler.runtime.choosing import chosen
from reconciler.runtime.drafting import EnvFiles, Texts
from reconciler.runtime.worktree import Hands, Worktree
from tests.runtime.fakes import manifests, service

WEB = ServiceName("web")


@dataclass(frozen=True)
class Read:
    """What a reading gave: the texts themselves."""

    texts: Texts
    config: Config = field(default_factory=Config)
    env_files: EnvFiles = field(default_factory=dict)

    def assemble(self, revision: Revision) -> ManifestSet:
        specs = [service(Path(path).stem, data.decode()) for path, data in self.texts.items()]
        return replace(manifests(*specs), revision=revision)


class Folder:
    """Files in memory."""

    def __init__(self) -> None:
        self.texts: dict[str, bytes] = {"services.d/web.yaml": b"d1"}
        self.holds = [""]
        self.config = Config()
        self.watched: list[Path] = []

    def hands(self) -> Hands:
        async def read_saved() -> Read:
            return Read(dict(self.texts), self.config, {"web.env": b"A=1"})

        async def read_texts(texts: Texts, env_files: EnvFiles) -> Read:
            return Read(texts, self.config, env_files)

        async def replay(texts: Texts, intents: Sequence[Intent]) -> Mapping[str, bytes | None]:
            changed: dict[str, bytes | None] = {}
            for intent in intents:
                assert isinstance(intent, SetField)
                path = f"services.d/{intent.service}.yaml"
                assert path in texts
                changed[path] = intent.value.encode() or None
            return changed

        async def split(
            path: str, data: bytes, *, must_be_valid: bool
        ) -> Sequence[tuple[ServiceName, str]]:
            del must_be_valid
            return [(ServiceName(Path(path).stem), data.decode())]

        async def changes() -> AsyncIterator[None]:
            yield

        def watch(paths: Iterable[Path]) -> None:
            self.watched = list(paths)

        return Hands(
            contents=lambda _: ({}, {}),
            read_saved=read_saved,
            read_texts=read_texts,
            hold=lambda _: self.holds.pop(0) if len(self.holds) > 1 else self.holds[0],
            head=lambda: Revision(commit="c1", branch="main"),
            saved=lambda: self.texts,
            dirty=lambda head, saved: tuple(saved) if head.commit else (),
            changes=changes,
            also_watch=watch,
            replay=replay,
            split=split,
        )


@pytest.fixture
def folder() -> Folder:
    return Folder()


@pytest.mark.parametrize(
    ("since", "has_moved"),
    [
        (Revision(commit="c1", branch="main", dirty=("services.d/web.yaml",)), False),
        (Revision(commit="c0", branch="main"), True),
        (Revision(commit="c1", branch="other"), True),
    ],
)
def test_the_branch_has_moved_where_it_is_at_another_commit_or_another_branch(
    folder: Folder, since: Revision, has_moved: bool
) -> None:
    worktree = Worktree(Path("/repo"), folder.hands())
    assert asyncio.run(worktree.has_moved(since)) == has_moved


def test_what_is_saved_is_read_with_where_git_stands(folder: Folder) -> None:
    found = asyncio.run(Worktree(Path("/srv"), folder.hands()).read())
    assert found.revision == Revision(commit="c1", branch="main", dirty=("services.d/web.yaml",))
    assert found.definitions[WEB].spec.digest == "d1"
    assert folder.watched == [Path("/srv/web.env")]


@pytest.mark.parametrize("holds", [["a rebase"], ["", "a rebase"]], ids=["before", "meanwhile"])
def test_nothing_is_read_while_git_is_at_work(folder: Folder, holds: list[str]) -> None:
    folder.holds = holds
    with pytest.raises(SourceHeldError, match="a rebase"):
        asyncio.run(Worktree(Path("/srv"), folder.hands()).read())


def test_a_draft_is_tried_on_what_is_saved_and_writes_nothing(folder: Folder) -> None:
    async def draft() -> None:
        worktree = Worktree(Path("/srv"), folder.hands())
        await worktree.read()
        made = await worktree.drafts.draft([SetField(service=WEB, path=("x",), value="d2")])
        assert made.manifests.definitions[WEB].spec.digest == "d2"
        assert made.files == {"services.d/web.yaml": ("d1", "d2")}
        gone = await worktree.drafts.draft([SetField(service=WEB, path=("x",), value="")])
        assert not gone.manifests.definitions
        assert gone.files == {"services.d/web.yaml": ("d1", None)}
        same = await worktree.drafts.draft([SetField(service=WEB, path=("x",), value="d1")])
        assert same.files == {}

    asyncio.run(draft())
    assert folder.texts == {"services.d/web.yaml": b"d1"}


def test_a_document_is_found_in_its_file(folder: Folder) -> None:
    worktree = Worktree(Path("/srv"), folder.hands())
    assert asyncio.run(worktree.drafts.document("services.d/web.yaml", WEB)) == "d1"
    with pytest.raises(NotFoundError, match="cannot find services"):
        asyncio.run(worktree.drafts.document("services.d/gone.yaml", WEB))
    with pytest.raises(NotFoundError, match="cannot find api in"):
        asyncio.run(worktree.drafts.document("services.d/web.yaml", ServiceName("api")))


def test_new_settings_are_told(folder: Folder) -> None:
    async def follow() -> None:
        worktree = Worktree(Path("/srv"), folder.hands())
        waiting = asyncio.create_task(worktree.settings.other_than(Config()))
        await worktree.read()
        await asyncio.sleep(0)
        assert not waiting.done()
        folder.config = Config(metrics_listen=":9100")
        await worktree.read()
        async with asyncio.timeout(1):
            assert (await waiting).metrics_listen == ":9100"

    asyncio.run(follow())


def test_only_those_named_and_what_they_need_run() -> None:
    need = Need(service=ServiceName("db"))
    found = manifests(replace(service("web"), needs=(need,)), service("db"), service("api"))
    kept = chosen(found, frozenset({WEB})).definitions
    assert {name for name, one in kept.items() if one.spec.state is DesiredState.RUNNING} == {
        "web",
        "db",
    }
    assert kept[ServiceName("api")].left_out
    assert chosen(found, frozenset()) == found
