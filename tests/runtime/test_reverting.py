"""Versions that failed are taken out of manifests from what the history has, or are left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace

import pytest

from reconciler.manifest.intent import Intent, PutService
from reconciler.manifest.naming import FOLDER
from reconciler.model.desired import Definition, Desired, ManifestSet, Revision, Wanted
from reconciler.model.diagnostic import Source
from reconciler.model.plan import Situation
from reconciler.model.record import Rollout, RolloutPhase, ServiceMemory
from reconciler.model.units import Digest, Nanos, ServiceName
from reconciler.model.update import OnFailure, Update
from reconciler.ports import BlockedError, Committed, Draft, LogEntry
from reconciler.runtime.journal import Listener
from reconciler.runtime.messages import Message, Summary
from reconciler.runtime.requests import Change, Restore, Terms
from reconciler.runtime.restraint import Restraint
from reconciler.runtime.reverting import Reverting
from tests.core.building import service

NOW = 10_000.0
WEB, FILE = ServiceName("web"), "services.d/web.yaml"
ASKS = Update(on_failure=OnFailure.ROLLBACK, revert=True)


class Past:
    """A history of one file, newest first; a text is the name of its version."""

    def __init__(self, *texts: str, saved: str = "bad", update: Update = ASKS) -> None:
        self.texts, self.saved, self.update = texts, saved, update
        self.phase = RolloutPhase.UNDONE
        self.refuses = False
        self.unasked: list[LogEntry] = []
        self.written: list[tuple[str, str]] = []

    def situation(self) -> Situation:
        bad, good = (
            replace(service("web", update=self.update), digest=Digest(one))
            for one in ("bad", "good")
        )
        zero, source = Nanos(0), Source(file=FILE)
        rollout = Rollout(to=bad, base=good, since=zero, began=zero, phase=self.phase, failed=True)
        memory = ServiceMemory(spec=bad, source=source, rollout=rollout)
        wanted = Desired(revision=Revision(), services={WEB: Wanted(spec=bad, source=source)})
        return Situation(now=Nanos(1), desired=wanted, services={WEB: memory}, slots={})

    async def revision(self) -> Revision:
        return Revision(commit="c0", branch="main")

    async def landed(self, op_id: str, since: str) -> str:
        raise NotImplementedError

    async def log(self, path: str, limit: int) -> Sequence[LogEntry]:
        if path == FOLDER:
            return self.unasked
        assert path == FILE
        return [
            LogEntry(commit=f"c{place}", author="a", at=0.0, subject="")
            for place, _ in enumerate(self.texts[:limit])
        ]

    async def blobs(self, revision: str) -> Mapping[str, bytes]:
        return {FILE: self.texts[int(revision[1:])].encode()}

    async def documents(self, text: str, path: str) -> Sequence[tuple[ServiceName, str]]:
        return [(WEB, text)] if path == FILE else []

    async def document(self, path: str, service: ServiceName) -> str:
        return self.saved if (path, service) == (FILE, WEB) else ""

    async def draft(self, intents: Sequence[Intent]) -> Draft:
        [one] = intents
        assert isinstance(one, PutService)
        spec = replace(service("web"), digest=Digest(one.text))
        found = {WEB: Definition(spec=spec, source=Source(file=FILE))}
        return Draft(manifests=ManifestSet(definitions=found))

    async def change(self, request: Change, terms: Terms) -> AsyncIterator[Message]:
        assert isinstance(request, Restore)
        assert (terms.wait, terms.if_revision, terms.author.name) == (False, "c0", "Weaver")
        if self.refuses:
            raise BlockedError("a rebase is under way")
        self.written.append((request.text, request.commit))
        yield Summary(exit_code=0, text="done")

    async def commit(self, request: object) -> Committed:
        raise NotImplementedError

    async def undo(self, *_: object, **__: object) -> Committed:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


def revert(past: Past) -> Reverting:
    made = Reverting(
        past, lambda: Listener([]), past, past, past.change, Restraint(past, lambda: NOW)
    )
    asyncio.run(made.once())
    return made


@pytest.mark.parametrize(
    ("past", "written"),
    [
        pytest.param(Past("bad", "worse", "good", "good"), [("good", "c2")], id="the newest"),
        pytest.param(Past("good", "older"), [], id="only saved"),
        pytest.param(Past("bad", "good", saved="bad!"), [], id="saved further"),
        pytest.param(Past("bad", "older"), [], id="not in the history"),
        pytest.param(Past("bad", *["x"] * 30, "good"), [], id="too far back"),
        pytest.param(Past("bad", "good", update=Update()), [], id="not asked for"),
    ],
)
def test_the_newest_text_of_the_version_that_serves_is_brought_back(
    past: Past, written: list[tuple[str, str]]
) -> None:
    assert revert(past).problem == ""
    assert past.written == written


def test_nothing_is_written_before_the_version_before_serves_everywhere() -> None:
    past = Past("bad", "good")
    past.phase = RolloutPhase.BACK
    revert(past)
    assert past.written == []


def test_what_cannot_be_committed_is_a_trouble_until_it_can() -> None:
    past = Past("bad", "good")
    past.refuses = True
    made = revert(past)
    told = "cannot take a version that failed out of web: a rebase is under way"
    assert made.problem == told
    past.refuses = False
    asyncio.run(made.once())
    assert (made.problem, past.written) == ("", [("good", "c1")])


def unasked(commit: str, minutes_ago: float, services: str = "web") -> LogEntry:
    trailers = {"Weaver-Source": "daemon", "Weaver-Services": services}
    at = NOW - minutes_ago * 60
    return LogEntry(commit=commit, author="Weaver", at=at, subject="", trailers=trailers)


def test_who_puts_back_twice_what_was_taken_out_is_not_answered_a_third_time_in_an_hour() -> None:
    past = Past("bad", "good")
    past.unasked = [unasked("c1", 59), unasked("c5", 59.5)]
    assert revert(past).problem == (
        "cannot take a version that failed out of web: weaver wrote the same in c1 59 min ago, "
        "and a changed it since: one of both must stop"
    )
    assert past.written == []
    past.unasked = [unasked("c1", 59), unasked("c5", 60)]
    assert revert(past).problem == ""
    assert past.written == [("good", "c1")]


@pytest.mark.parametrize(
    ("made", "is_held"),
    [
        pytest.param([unasked("x", 30)] * 5, False, id="five of it"),
        pytest.param([unasked("x", 30)] * 6, True, id="six of it"),
        pytest.param([unasked("x", 30)] * 5 + [unasked("x", 61)], False, id="one is old"),
        pytest.param([unasked("x", 30, "db, web")] * 6, True, id="shared with others"),
        pytest.param([unasked("x", 30, "db")] * 59, False, id="fifty-nine of others"),
        pytest.param([unasked("x", 30, "db")] * 60, True, id="sixty of others"),
        pytest.param([replace(unasked("x", 1), trailers={})] * 90, False, id="by people"),
    ],
)
def test_commits_that_nobody_asked_for_are_few(made: list[LogEntry], is_held: bool) -> None:
    past = Past("bad", "good")
    past.unasked = made
    problem = revert(past).problem
    assert bool(problem) == is_held
    assert ("may come in 30 min" in problem) == is_held
    assert bool(past.written) != is_held
