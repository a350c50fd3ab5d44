"""Changes that come at the same time: one commit for what one person asks, and nobody suffers."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from reconciler.core.batching import MOST, Batch
from reconciler.ports import CommitRequest, Committed
from reconciler.runtime.messages import CommitMade, Message, Planned
from reconciler.runtime.requests import Apply, Document
from tests.runtime.control_desk import API, CHAIN, DB, TERMS, WEB, Desk, code, problems, with_daemon


def applying(text: str) -> Apply:
    return Apply(documents=(Document(text=text),))


async def asked(desk: Desk, request: Apply, who: str = "Ada") -> list[Message]:
    author = dataclasses.replace(TERMS.author, name=who)
    terms = dataclasses.replace(TERMS, author=author)
    return [message async for message in desk.control.change(request, terms)]


def commit_of(messages: list[Message]) -> str:
    [made] = [one.commit for one in messages if isinstance(one, CommitMade)]
    return made


def test_what_one_person_asks_at_once_is_one_commit_and_others_have_their_own(
    tmp_path: Path,
) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        ada, more, bob = await asyncio.gather(
            asked(desk, applying("web d2")),
            asked(desk, applying("db d2")),
            asked(desk, applying("api d2"), "Bob"),
        )
        assert [code(ada), code(more), code(bob)] == [0, 0, 0]
        assert commit_of(ada) == commit_of(more) != commit_of(bob)
        first, second = desk.repository.requests[-2:]
        assert [part.services for part in first.parts] == [(WEB,), (DB,)]
        assert first.op_id == ", ".join(part.op_id for part in first.parts)
        assert (second.services, second.parts) == ((API,), ())
        [planned] = [one for one in ada if isinstance(one, Planned)]
        assert DB not in {change.service for change in planned.preview.changes}

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_nobody_is_refused_for_what_somebody_else_asked_for(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        good, bad, also = await asyncio.gather(
            asked(desk, applying("web d2")),
            asked(desk, applying("db bad")),
            asked(desk, applying("api d2")),
        )
        assert code(bad) == 2
        assert "".join(problems(bad))
        assert code(good) == code(also) == 0

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_fault_of_ours_is_told_to_everybody_and_the_next_change_lands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()

        async def broken(request: CommitRequest) -> Committed:
            raise RuntimeError(f"a fault of ours in {request.op_id}")

        monkeypatch.setattr(desk.repository, "commit", broken)
        told = await asyncio.gather(
            asked(desk, applying("web d2")),
            asked(desk, applying("db d2")),
            asked(desk, applying("api d2")),
            return_exceptions=True,
        )
        assert [type(one) for one in told] == [RuntimeError] * 3
        monkeypatch.undo()
        assert code(await asked(desk, applying("web d2"))) == 0

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_who_hangs_up_before_the_turn_has_changed_nothing(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        stays = asyncio.create_task(asked(desk, applying("web d2")))
        leaves = asyncio.create_task(asked(desk, applying("db d2"), "Bob"))
        await asyncio.sleep(0)
        leaves.cancel()
        assert code(await stays) == 0
        assert [one.services for one in desk.repository.requests] == [(WEB,)]

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_two_changes_of_one_service_are_made_one_after_the_other(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.settled()
        first, second = await asyncio.gather(
            asked(desk, applying("web d2")), asked(desk, applying("web d3"))
        )
        assert commit_of(first) != commit_of(second)

    with_daemon(*CHAIN, tmp_path=tmp_path, story=story)


def test_a_batch_takes_no_stranger_no_second_change_of_a_service_and_no_end_of_them() -> None:
    batch = Batch(author="ada").having({"web"}).passing({"db"})
    assert batch.takes("ada", {"api"})
    assert not batch.takes("bob", {"api"})
    assert not batch.takes("ada", {"api", "web"})
    assert not batch.takes("ada", {"db"})
    for number in range(MOST - 1):
        batch = batch.having({f"s{number}"})
    assert not batch.takes("ada", {"api"})
