"""What a daemon was asked for and died over is made by the next one, once."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest.codec import CodecError
from reconciler.ports import CommitRequest, Committed, HostError
from reconciler.runtime.pending import Asked, read, text_of
from reconciler.runtime.requests import Apply, Change, Document, Restore, Terms, Unregister
from tests.runtime.control_desk import API, CHAIN, DB, TERMS, Desk, code, with_daemon

WEB_2 = Apply(documents=(Document(text="web d2"),))
DB_2 = Apply(documents=(Document(text="db d2"),))


def asked(request: Change, id_: str = "77aa", terms: Terms = TERMS) -> Asked:
    return Asked(id=id_, request=request, terms=terms, base="c0")


def leave(desk: Desk, *left: Asked) -> None:
    """Leave what an earlier daemon would have kept."""
    desk.store.changes.update((one.id, text_of(one)) for one in left)


# A span of time is a number of seconds: the API takes no other.
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))


@given(request=st.one_of(*map(st.from_type, get_args(Change))), terms=st.from_type(Terms))
def test_every_change_is_read_as_it_was_kept(request: Change, terms: Terms) -> None:
    # JSON knows no endless number, and nobody waits that long.
    terms = dataclasses.replace(terms, timeout=3.0)
    one = asked(request, terms=terms)
    assert read("77aa", text_of(one)) == one


@pytest.mark.parametrize("text", ["", "{}", text_of(asked(WEB_2)).replace("Apply", "Conjure")])
def test_what_another_version_kept_is_no_change(text: str) -> None:
    with pytest.raises(CodecError):
        read("77aa", text)


def test_what_was_not_in_the_branch_is_made_under_its_own_id_and_forgotten(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        leave(desk, asked(WEB_2), asked(DB_2, "77bb"))
        desk.store.changes["77cc"] = "{"
        await desk.control.resuming.run()
        made = [(one.op_id, one.services) for one in desk.repository.requests]
        assert made == [("77aa", ("web",)), ("77bb", ("db",))]
        assert desk.store.changes == {}
        leave(desk, asked(WEB_2))
        await desk.control.resuming.run()
        assert len(desk.repository.requests) == 2, "its commit tells of it"

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_what_cannot_be_made_any_more_is_told_and_holds_nothing_up(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        bad = Apply(documents=(Document(text="api bad"),))
        leave(desk, asked(bad), asked(DB_2, "77bb"))
        await desk.control.resuming.run()
        assert [one.op_id for one in desk.repository.requests] == ["77bb"]
        assert desk.store.changes == {}
        [told] = [event for event in desk.store.written if event.kind == "git.dropped"]
        assert told.reason.startswith(f"cannot apply {API}: the manifest would be invalid; mend: ")
        assert told.actor == "uid:1000"

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_what_cannot_be_looked_up_waits_and_says_so(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        leave(desk, asked(WEB_2))
        desk.repository.unreachable = "cannot reach the other side"
        resuming = asyncio.create_task(desk.control.resuming.run(pause_s=0.01))
        async with asyncio.timeout(10):
            while not desk.control.resuming.problem:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
        assert desk.store.changes.keys() == {"77aa"}
        desk.repository.unreachable = ""
        await resuming
        assert desk.control.resuming.problem == ""
        assert [one.op_id for one in desk.repository.requests] == ["77aa"]

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_what_cannot_be_pushed_stays_kept_for_the_next_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        leave(desk, asked(WEB_2))
        commit, tried = desk.repository.commit, asyncio.Event()

        async def unreachable(_: CommitRequest) -> Committed:
            tried.set()
            raise HostError("cannot reach the other side")

        monkeypatch.setattr(desk.repository, "commit", unreachable)
        resuming = asyncio.create_task(desk.control.resuming.run(pause_s=0.01))
        async with asyncio.timeout(10):
            await tried.wait()
            while not desk.control.resuming.problem:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0)
        assert desk.store.changes.keys() == {"77aa"}
        monkeypatch.setattr(desk.repository, "commit", commit)
        await resuming
        assert desk.store.changes == {}
        assert [one.op_id for one in desk.repository.requests] == ["77aa"]

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_removal_that_was_committed_is_let_go_by_the_next_daemon(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        request = CommitRequest(
            intents=(), subject="", author=TERMS.author, op="unregister", op_id="77aa"
        )
        desk.repository.requests.append(request)
        desk.manifests.save()
        await desk.daemon.source.refresh()
        await desk.daemon.caught_up()
        assert desk.daemon.picture().prune is not None
        leave(desk, asked(Unregister(services=tuple(desk.daemon.picture().services))))
        await desk.control.resuming.run()
        await desk.daemon.caught_up()
        assert desk.daemon.picture().prune is None

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


@pytest.mark.parametrize(
    ("request_", "terms", "is_kept"),
    [
        (WEB_2, TERMS, True),
        (WEB_2, dataclasses.replace(TERMS, source="daemon"), False),
        (WEB_2, dataclasses.replace(TERMS, dry_run=True), False),
        (dataclasses.replace(WEB_2, branch="next"), TERMS, False),
        (Restore(service=DB, text="db d2", commit="c0"), TERMS, False),
    ],
)
def test_only_what_ends_as_a_commit_of_the_branch_that_somebody_asked_for_is_kept(
    request_: Change, terms: Terms, is_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        kept: list[str] = []
        keep = desk.store.keep

        async def watched(change: str, text: str) -> None:
            kept.append(change)
            await keep(change, text)

        monkeypatch.setattr(desk.store, "keep", watched)
        told = [message async for message in desk.control.change(request_, terms)]
        assert code(told) == 0
        ids = [one.op_id for one in desk.repository.requests]
        assert kept == (ids if is_kept else [])
        assert desk.store.changes == {}, "it is in the branch"

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_record_that_cannot_be_written_stops_no_change(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        desk.store.trouble = "the disk is full"
        changing = desk.control.change(WEB_2, dataclasses.replace(TERMS, wait=False))
        async with asyncio.timeout(10):
            async for _ in changing:
                if desk.repository.requests:
                    break
        assert [one.services for one in desk.repository.requests] == [("web",)]

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)
