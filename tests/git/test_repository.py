"""The repository port: a queue of one worker process, which may be slow, idle or killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reconciler.adapters.git.repository import GitRepository
from reconciler.adapters.git.wire import (
    Question,
    commit_question,
    error_answer,
    read_answer,
    read_question,
)
from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.units import ServiceName
from reconciler.ports import (
    ConflictError,
    HostError,
    ManifestError,
    NotFoundError,
    Repository,
    WeaverError,
)
from tests.git.asking import CAROL, assert_tidy, put, request, set_field
from tests.git.scratch import WEB, Scratch
from tests.waiting import until

pytestmark = pytest.mark.real

FILE = "services.d/web.yaml"
WEB_NAME = ServiceName("web")


@asynccontextmanager
async def opened(
    root: Path, idle_s: float = 30.0, deadline_s: float = 60.0
) -> AsyncIterator[GitRepository]:
    """Give a repository that is closed in the end."""
    repository = GitRepository(root, idle_s=idle_s, deadline_s=deadline_s)
    try:
        yield repository
    finally:
        await repository.close()


def run(root: Path, act: Callable[[GitRepository], Awaitable[None]], **more: float) -> None:
    """Run one scenario in a loop of its own."""

    async def scenario() -> None:
        async with opened(root, **more) as repository:
            await act(repository)

    asyncio.run(scenario())


def workers() -> list[int]:
    """Find the worker processes that we started."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"reconciler.adapters.git.worker" in words:
            found.append(int(entry.name))
    return found


def test_it_is_the_port() -> None:
    repository: Repository = GitRepository(Path("/"))
    assert isinstance(repository, GitRepository)


def test_a_change_goes_through_the_worker_and_can_be_undone(scratch: Scratch) -> None:
    async def act(repository: GitRepository) -> None:
        done = await repository.commit(request(set_field("8001"), subject="web: set"))
        assert done.commit == scratch.head()
        assert (await repository.revision()).commit == done.commit
        assert (await repository.blobs("HEAD"))[FILE].decode() == WEB.replace("8000", "8001")
        (entry, _) = await repository.log(FILE, 10)
        assert (entry.author, entry.subject) == ("Carol <carol@example.org>", "web: set")
        assert entry.trailers["Weaver-Services"] == "web"
        assert await repository.who(FILE) == entry
        assert (await repository.service_log(FILE, "web", 1)) == (entry,)
        await repository.undo(CAROL, "77aa")
        assert scratch.read(FILE) == WEB

    run(scratch.root, act)
    assert workers() == []


def test_twenty_changes_at_once_all_land(scratch: Scratch) -> None:
    async def act(repository: GitRepository) -> None:
        asked = [
            repository.commit(request(put(f"name: s{n}\ncommand: sleep {n}\n", f"s{n}")))
            for n in range(20)
        ]
        done = await asyncio.gather(*asked)
        assert len({result.commit for result in done}) == 20

    run(scratch.root, act)
    assert scratch.git("rev-list", "--count", "HEAD").strip() == "21"
    assert len(list(scratch.path("services.d").iterdir())) == 22
    assert scratch.status() == []
    assert_tidy(scratch)


def test_changes_of_two_weavers_at_once_all_land(scratch: Scratch) -> None:
    async def scenario() -> None:
        async with opened(scratch.root) as one, opened(scratch.root) as other:
            await asyncio.gather(
                *(
                    repository.commit(request(set_field(str(n), "env", f"V{n}")))
                    for n, repository in enumerate([one, other] * 3)
                )
            )

    asyncio.run(scenario())
    assert scratch.git("rev-list", "--count", "HEAD").strip() == "7"
    assert all(f"V{n}: {n}" in scratch.read(FILE) for n in range(6))


def test_errors_keep_their_kind_and_their_mend(scratch: Scratch) -> None:
    async def act(repository: GitRepository) -> None:
        (scratch.top / ".git/MERGE_HEAD").write_text(scratch.head())
        with pytest.raises(ConflictError, match="a merge is in progress") as caught:
            await repository.commit(request(set_field("8001")))
        assert "git merge --abort" in caught.value.mend
        with pytest.raises(NotFoundError):
            await repository.blobs("nope")

    run(scratch.root, act)


def test_an_idle_worker_leaves_and_a_new_one_comes(scratch: Scratch) -> None:
    async def act(repository: GitRepository) -> None:
        await repository.commit(request(set_field("1")))
        (first,) = workers()
        await asyncio.to_thread(until, lambda: not workers())
        await repository.commit(request(set_field("2")))
        (second,) = workers()
        assert second != first

    run(scratch.root, act, idle_s=0.05)


def test_a_warm_worker_is_used_again(scratch: Scratch) -> None:
    async def act(repository: GitRepository) -> None:
        await repository.commit(request(set_field("1")))
        first = workers()
        await repository.commit(request(set_field("2")))
        assert workers() == first

    run(scratch.root, act)


def test_a_worker_that_is_killed_costs_one_request(scratch: Scratch) -> None:
    lock = scratch.top / ".git/index.lock"

    async def act(repository: GitRepository) -> None:
        lock.touch()
        asked = asyncio.create_task(repository.commit(request(set_field("1"))))
        await asyncio.to_thread(until, workers)
        os.kill(workers()[0], signal.SIGKILL)
        with pytest.raises(HostError, match="killed by SIGKILL") as caught:
            await asked
        assert "try again" in caught.value.mend
        lock.unlink()
        assert (await repository.commit(request(set_field("2")))).changed

    run(scratch.root, act)
    assert_tidy(scratch)


def test_a_worker_that_hangs_is_killed(scratch: Scratch) -> None:
    async def act(repository: GitRepository) -> None:
        (scratch.top / ".git/index.lock").touch()
        with pytest.raises(HostError, match=r"no answer from git within 0\.5 s"):
            await repository.commit(request(set_field("1")))
        assert workers() == []

    run(scratch.root, act, deadline_s=0.5)


def test_who_stops_waiting_stops_nothing_and_confuses_nobody(scratch: Scratch) -> None:
    async def act(repository: GitRepository) -> None:
        asked = asyncio.create_task(repository.commit(request(set_field("1"), subject="one")))
        await asyncio.to_thread(until, workers)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        done = await repository.commit(request(set_field("2"), subject="two"))
        assert scratch.git("log", "-1", "--format=%s", done.commit) == "two\n"

    run(scratch.root, act)
    assert scratch.log()[:2] == ["two", "one"]


def test_no_surroundings_reach_the_worker(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Mallory")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "broken")
    monkeypatch.setenv("PYTHONSTARTUP", "/nonexistent")

    async def act(repository: GitRepository) -> None:
        assert (await repository.commit(request(set_field("1")))).changed

    run(scratch.root, act)
    for name in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_AUTHOR_NAME", "GIT_CONFIG_COUNT"):
        monkeypatch.delenv(name)
    assert scratch.log("%an")[0] == "Carol"
    assert scratch.status() == []


def test_the_daemons_side_imports_neither_gitpython_nor_yaml() -> None:
    script = (
        "import sys, reconciler.adapters.git.repository, reconciler.adapters.git.state\n"
        "heavy = {'git', 'gitdb', 'ruamel', 'ruamel.yaml', 'jsonschema'} & set(sys.modules)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


INTENTS: tuple[Intent, ...] = (
    SetField(service=WEB_NAME, path=("env", "A.b"), value="'x: y'\n"),
    RemoveField(service=WEB_NAME, path=("env",)),
    PutService(service=WEB_NAME, text="name: web\n\u00e9\n"),
    RemoveService(service=WEB_NAME),
)


def test_requests_cross_the_pipe_whole() -> None:
    asked = request(*INTENTS, reason="why\nnot", if_revision="abc1234", auto_commit=False)
    line = commit_question("/repo", asked)
    assert line.count(b"\n") == 1
    question = read_question(line)
    assert isinstance(question, Question)
    assert question.request() == asked


KINDS = [kind for kind in WeaverError.__subclasses__() if kind.__module__ == WeaverError.__module__]
"""Those of the model; what a layer above adds for itself never reaches the worker."""


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_cross_the_pipe_as_what_they_are(kind: type[WeaverError]) -> None:
    answer = read_answer(error_answer(kind("cannot: why", mend="do")))
    with pytest.raises(kind, match="cannot: why") as caught:
        answer.result()
    assert caught.value.mend == "do"


def test_a_manifests_faults_cross_the_pipe_with_their_places() -> None:
    fault = Diagnostic(source=Source(file=FILE, line=3), code="W104", message="x", mend="y")
    answer = read_answer(error_answer(ManifestError("invalid", diagnostics=(fault,))))
    with pytest.raises(ManifestError) as caught:
        answer.result()
    assert caught.value.diagnostics == (fault,)
