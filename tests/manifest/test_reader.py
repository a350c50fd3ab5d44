"""Following saved manifests: two looks, a worker process, a cache."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from reconciler.adapters.reader import FileReader, Gathered, OfflineReader
from reconciler.adapters.reader.cache import FILE_NAME, blob_id, load
from reconciler.adapters.reader.client import Worker
from reconciler.manifest.intent import Intent, PutService, RemoveField, RemoveService, SetField
from reconciler.model.diagnostic import Diagnostic
from reconciler.model.errors import ManifestError, NotFoundError, SourceHeldError
from reconciler.model.units import Digest, ServiceName
from tests.manifest.reading import service
from tests.waiting import until, until_async

T = TypeVar("T")
WEB = ServiceName("web")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Make a checkout with one service."""
    folder = tmp_path / "services.d"
    folder.mkdir()
    (folder / "web.yaml").write_text(service("web"))
    return tmp_path


def write(root: Path, name: str, text: str) -> Path:
    path = root / "services.d" / name
    path.write_text(text)
    return path


class Moments:
    """Pauses between looks that take no time, in which the test changes files."""

    def __init__(self, *changes: Callable[[], object]) -> None:
        self.changes = list(changes)
        self.count = 0

    async def __call__(self, _: float) -> None:
        self.count += 1
        if self.changes:
            self.changes.pop(0)()


def follow(
    root: Path,
    use: Callable[[FileReader], Awaitable[T]],
    *,
    moments: Moments | None = None,
    worker: Worker | None = None,
    cache: Path | None = None,
) -> T:
    """Use a reader, and end its worker."""

    async def main() -> T:
        reader = FileReader(str(root), cache, pause=moments or Moments(), worker=worker)
        try:
            return await use(reader)
        finally:
            await reader.close()

    return asyncio.run(main())


async def read_once(reader: FileReader) -> Gathered:
    return await reader.read_worktree()


def codes(found: Gathered) -> list[str]:
    return [f"{fault.source.file} {fault.code}" for fault in found.assemble().diagnostics]


def names(found: Gathered) -> list[str]:
    return sorted(found.assemble().definitions)


def test_what_is_saved_is_read(root: Path) -> None:
    write(root, "b.json", '{"name": "b", "command": "x"}')
    (root / "services.d" / "team").mkdir()
    write(root, "team/c.yml", service("c", "foo: 1\n"))
    for passing in (".hidden.yaml", "web.yaml~", "#web.yaml#", ".web.yaml.swp", "4913"):
        write(root, passing, "not a manifest")
    write(root, "README.md", "hello")
    found = follow(root, read_once)
    assert names(found) == ["b", "web"]
    assert codes(found) == ["services.d/README.md W307", "services.d/team/c.yml W201"]
    assert found == OfflineReader(str(root)).read_saved()


def test_a_file_that_is_being_written_is_read_when_it_is_whole(root: Path) -> None:
    half = write(root, "b.yaml", "name: b\ncomm")
    moments = Moments(
        lambda: half.write_text("name: b\ncommand: "),
        lambda: half.write_text(service("b")),
    )
    found = follow(root, read_once, moments=moments)
    assert names(found) == ["b", "web"]
    assert moments.count == 3


def test_a_file_that_vanishes_for_a_moment_is_no_removal(root: Path) -> None:
    path = root / "services.d" / "web.yaml"

    async def use(reader: FileReader) -> Gathered:
        await reader.read_worktree()
        path.unlink()
        moments.changes.append(lambda: path.write_text(service("web", "version: 2\n")))
        return await reader.read_worktree()

    moments = Moments()
    found = follow(root, use, moments=moments)
    assert found.files[0].readings[0].definition.spec.version == "2"


def test_a_file_that_stays_away_is_a_removal(root: Path) -> None:
    async def use(reader: FileReader) -> list[Gathered]:
        write(root, "b.yaml", service("b"))
        first = await reader.read_worktree()
        (root / "services.d" / "b.yaml").unlink()
        return [first, await reader.read_worktree()]

    first, second = follow(root, use)
    assert (names(first), names(second)) == (["b", "web"], ["web"])


def test_files_that_never_come_to_rest_are_not_acted_on(root: Path) -> None:
    path = root / "services.d" / "web.yaml"
    moments = Moments(*[lambda n=n: path.write_text(service(f"w{n}")) for n in range(30)])
    with pytest.raises(SourceHeldError, match=r"services\.d/web\.yaml changed at every look"):
        follow(root, read_once, moments=moments)


def test_an_unchanged_folder_costs_one_look_and_no_worker(root: Path) -> None:
    moments, worker = Moments(), Worker()

    async def use(reader: FileReader) -> tuple[Gathered, Gathered, int, int | None]:
        first = await reader.read_worktree()
        await worker.close()
        before = moments.count
        return first, await reader.read_worktree(), moments.count - before, worker.pid

    first, second, looks, pid = follow(root, use, moments=moments, worker=worker)
    assert first == second
    assert (looks, pid) == (0, None)


def test_a_touched_file_is_not_parsed_again(root: Path) -> None:
    worker = Worker()

    async def use(reader: FileReader) -> int | None:
        await reader.read_worktree()
        await worker.close()
        os.utime(root / "services.d" / "web.yaml", (1, 1))
        await reader.read_worktree()
        return worker.pid

    assert follow(root, use, worker=worker) is None


def test_a_missing_folder_holds_what_runs(root: Path) -> None:
    (root / "services.d").rename(root / "elsewhere")
    with pytest.raises(SourceHeldError, match=r"cannot read services\.d"):
        follow(root, read_once)


def test_an_empty_folder_is_no_error_here(root: Path) -> None:
    (root / "services.d" / "web.yaml").unlink()
    assert follow(root, read_once).files == ()


class TestSettings:
    """weaver.yaml and what depends on it."""

    def test_defaults_reach_every_service_and_their_change_too(self, root: Path) -> None:
        settings = root / "weaver.yaml"

        async def use(reader: FileReader) -> list[str]:
            seen = []
            for text in ("defaults: {cwd: a}\n", "defaults: {cwd: b}\n", ""):
                settings.write_text(text)
                found = await reader.read_worktree()
                seen.append(found.files[0].readings[0].definition.spec.cwd)
            return seen

        assert follow(root, use) == ["a", "b", "."]

    def test_while_it_is_wrong_the_last_good_one_counts(self, root: Path) -> None:
        settings = root / "weaver.yaml"

        async def use(reader: FileReader) -> Gathered:
            settings.write_text("defaults: {cwd: a}\n")
            await reader.read_worktree()
            settings.write_text("defaults: [\n")
            write(root, "b.yaml", service("b"))
            return await reader.read_worktree()

        found = follow(root, use)
        assert codes(found) == ["weaver.yaml W106"]
        assert {one.readings[0].definition.spec.cwd for one in found.files} == {"a"}

    def test_wrong_from_the_start_it_holds_everything(self, root: Path) -> None:
        (root / "weaver.yaml").write_text("gti: {}\n")
        with pytest.raises(SourceHeldError, match=r"cannot use weaver\.yaml: weaver\.yaml:1:1"):
            follow(root, read_once)
        found = OfflineReader(str(root)).read_saved()
        assert codes(found) == ["weaver.yaml W201"]
        assert names(found) == ["web"]


class TestEnvFiles:
    """Env files count by their contents."""

    def test_a_changed_one_gives_a_new_digest_and_nothing_else(self, root: Path) -> None:
        write(root, "web.yaml", service("web", "envFile: web.env\n"))
        file = root / "web.env"
        worker = Worker()

        async def use(reader: FileReader) -> list[Digest]:
            seen = []
            for text in ("A=1\n", "A=2\n", "A=1\n"):
                file.write_text(text)
                found = (await reader.read_worktree()).assemble()
                await worker.close()
                seen.append(found.definitions[WEB].spec.digest)
            return seen

        one, other, again = follow(root, use, worker=worker)
        assert one == again != other

    def test_one_that_is_missing_or_bad_makes_its_service_invalid(self, root: Path) -> None:
        write(root, "web.yaml", service("web", "envFile: [web.env, bad.env]\n"))
        (root / "bad.env").write_text("no variable\n")
        found = follow(root, read_once)
        assert codes(found) == ["services.d/web.yaml W306", "services.d/web.yaml W306"]
        assert names(found) == []
        assert sorted(found.assemble(with_env_files=False).definitions) == ["web"]


class TestWorker:
    """The process that parses."""

    def test_a_file_that_kills_it_is_the_only_one_that_suffers(self, root: Path) -> None:
        write(root, "b.yaml", "name: bad\n# KILL\n")
        write(root, "z.yaml", service("z"))
        worker = Worker(module="tests.manifest.frail_worker")
        found = follow(root, read_once, worker=worker)
        assert names(found) == ["web", "z"]
        assert codes(found) == ["services.d/b.yaml W117"]
        assert list(found.assemble().invalid) == ["bad"]
        assert list(found.assemble().broken_files) == ["services.d/b.yaml"]

    @pytest.mark.slow
    def test_one_that_takes_all_memory_or_time_is_ended(self, root: Path) -> None:
        write(root, "b.yaml", "name: bad\n# EAT\n")
        write(root, "c.yaml", "name: bad2\n# SPIN\n")
        worker = Worker(module="tests.manifest.frail_worker")
        found = follow(root, read_once, worker=worker)
        assert names(found) == ["web"]
        assert codes(found)[0].startswith("services.d/b.yaml W1")
        assert codes(found)[1] == "services.d/c.yaml W117"

    def test_one_killed_between_two_reads_is_replaced(self, root: Path) -> None:
        worker = Worker()

        async def use(reader: FileReader) -> Gathered:
            await reader.read_worktree()
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)
            write(root, "b.yaml", service("b"))
            return await reader.read_worktree()

        found = follow(root, use, worker=worker)
        assert codes(found) == []
        assert names(found) == ["b", "web"]

    def test_it_leaves_when_there_is_nothing_to_do(self, root: Path) -> None:
        worker = Worker(warm_s=0.01)

        def children() -> set[int]:
            return {child.pid for child in psutil.Process().children()}

        async def use(reader: FileReader) -> None:
            before = children()
            assert names(await reader.read_worktree()) == ["web"]
            # On a busy host it may have left before we come to look: its pid may be gone already.
            await until_async(lambda: worker.pid is None and children() <= before)

        follow(root, use, worker=worker)

    def test_it_ends_with_its_reader(self) -> None:
        """Whoever kills the daemon leaves no worker behind: its input ends."""
        program = (
            "import asyncio, sys\n"
            "from reconciler.adapters.reader.client import Worker\n"
            "from reconciler.manifest.pipe import Read, Request\n"
            "async def main():\n"
            "    worker = Worker()\n"
            "    await worker.ask([Request(read=Read(file='x', data=b''))])\n"
            "    print(worker.pid, flush=True)\n"
            "    await asyncio.sleep(60)\n"
            "asyncio.run(main())\n"
        )
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            pid = int(child.stdout.readline())
            assert Path(f"/proc/{pid}").exists()
            child.kill()
        until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid))

    def test_it_edits_and_splits(self, root: Path) -> None:
        texts = {"services.d/web.yaml": (service("web") + "env: {A: 1}\n").encode()}
        intents: list[Intent] = [
            SetField(service=WEB, path=("state",), value="stopped"),
            RemoveField(service=WEB, path=("env", "A")),
            PutService(service=ServiceName("b"), text=service("b")),
        ]

        async def use(reader: FileReader) -> None:
            assert await reader.replay(texts, intents) == {
                "services.d/web.yaml": (service("web") + "state: stopped\n").encode(),
                "services.d/b.yaml": service("b").encode(),
            }
            assert await reader.replay(texts, [RemoveService(service=WEB)]) == {
                "services.d/web.yaml": None
            }
            with pytest.raises(NotFoundError, match="cannot change nope") as caught:
                await reader.replay(texts, [RemoveService(service=ServiceName("nope"))])
            assert caught.value.mend
            documents = await reader.split("-", service("web").encode(), must_be_valid=True)
            assert documents == (("web", service("web")),)
            with pytest.raises(ManifestError, match="cannot use -: it is not valid") as wrong:
                await reader.split("-", b"nam: web\n", must_be_valid=True)
            assert all(isinstance(fault, Diagnostic) for fault in wrong.value.diagnostics)

        follow(root, use)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


class TestCache:
    """What is kept on disk."""

    def test_a_new_daemon_parses_nothing_again(self, root: Path, tmp_path: Path) -> None:
        cache = tmp_path / "cache"
        write(root, "b.yaml", service("b", "foo: 1\n"))
        (root / "weaver.yaml").touch()
        first = follow(root, read_once, cache=cache)
        assert len(load(cache)) == 2
        broken = Worker(module="no.such.module")
        (root / "weaver.yaml").unlink()
        assert follow(root, read_once, cache=cache, worker=broken) == first

    @pytest.mark.parametrize(
        "damage", [b"", b"{}", b"\xff" * 100, b'{"fingerprint": "x", "results": {}}']
    )
    def test_a_damaged_one_is_ignored(self, root: Path, tmp_path: Path, damage: bytes) -> None:
        cache = tmp_path / "cache"
        cache.mkdir()
        (cache / FILE_NAME).write_bytes(damage)
        assert names(follow(root, read_once, cache=cache)) == ["web"]
        assert len(load(cache)) == 1

    def test_it_is_keyed_by_the_ids_of_git(self) -> None:
        command = ["git", "hash-object", "--stdin"]
        done = subprocess.run(command, input=b"caf\xe9\n", capture_output=True, check=True)
        assert blob_id(b"caf\xe9\n") == done.stdout.decode().strip()

    def test_one_that_cannot_be_written_is_no_loss(self, root: Path, tmp_path: Path) -> None:
        blocked = tmp_path / "file"
        blocked.touch()
        assert names(follow(root, read_once, cache=blocked / "cache")) == ["web"]

    def test_another_name_for_the_same_bytes_has_its_own_places(self, root: Path) -> None:
        write(root, "b.yaml", "name: [\n")

        async def use(reader: FileReader) -> list[str]:
            await reader.read_worktree()
            (root / "services.d" / "b.yaml").rename(root / "services.d" / "c.yaml")
            return codes(await reader.read_worktree())

        assert follow(root, use) == ["services.d/c.yaml W106"]


def test_texts_of_a_revision_are_read_with_their_own_settings(root: Path) -> None:
    texts = {
        "weaver.yaml": b"defaults: {cwd: a}\n",
        "services.d/b.yaml": service("b", "envFile: .env\n").encode(),
    }

    async def use(reader: FileReader) -> Gathered:
        return await reader.read_texts(texts, {".env": b"A=1\n"})

    found = follow(root, use)
    assert found.files == OfflineReader(str(root)).read_texts(texts).files
    spec = found.assemble().definitions[ServiceName("b")].spec
    assert spec.cwd == "a"
    bare = OfflineReader(str(root)).read_texts(texts)
    assert spec.digest != bare.assemble().definitions[ServiceName("b")].spec.digest


def test_what_the_daemon_imports_knows_no_yaml() -> None:
    program = (
        "import sys\n"
        "from reconciler.adapters.reader import FileReader, OfflineReader\n"
        "import reconciler.manifest.codec, reconciler.manifest.digest, reconciler.manifest.fields\n"
        "import reconciler.manifest.resolve, reconciler.manifest.config\n"
        "heavy = {'ruamel', '_ruamel_yaml', 'jsonschema', 'difflib', 'referencing'}\n"
        "print(sorted(heavy.intersection(name.partition('.')[0] for name in sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_the_fast_parser_is_there() -> None:
    """Without it ruamel.yaml falls back to Python without a word, ten times slower."""
    import _ruamel_yaml  # type: ignore[import-not-found]  # C, without stubs

    assert _ruamel_yaml.CParser
