"""A mirror of a real repository: over files, over http and over ssh; and sides that misbehave."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from reconciler import failpoints
from reconciler.adapters.git.remote import transport
from reconciler.adapters.git.remote.address import check_url
from reconciler.adapters.git.remote.mirror import Mirror
from reconciler.adapters.git.remote.upstream import RemoteBranch
from reconciler.core.heads import Relation
from reconciler.ports import HostError, NotFoundError
from tests.git.scratch import Scratch
from tests.git.transports import serving

pytestmark = pytest.mark.real


ROOT = Path(__file__).parents[2]


def mirror_of(scratch: Scratch, home: Path, url: str = "", branch: str = "main") -> Mirror:
    return open_mirror(home, url or str(scratch.top), branch)


def open_mirror(home: Path, url: str, branch: str = "main") -> Mirror:
    made = Mirror(home / "mirror.git", check_url(url, Path("/")), branch)
    made.open()
    return made


def follow(mirror: Mirror) -> str:
    commit = mirror.fetch()
    mirror.advance(commit, mirror.verified())
    return commit


@pytest.fixture
def mirror(scratch: Scratch, tmp_path: Path) -> Mirror:
    return mirror_of(scratch, tmp_path)


def test_a_branch_is_looked_at_fetched_and_read(mirror: Mirror, scratch: Scratch) -> None:
    assert (mirror.verified(), mirror.fetched()) == ("", "")
    tip = scratch.git("rev-parse", "main").strip()
    assert mirror.look() == tip == mirror.fetch() == mirror.fetched()
    assert mirror.verified() == ""
    mirror.advance(tip, "")
    assert mirror.verified() == tip
    assert sorted(mirror.read(tip).files) == ["services.d/db.yaml", "services.d/web.yaml"]


def test_each_way_a_branch_can_move_is_told(mirror: Mirror, scratch: Scratch) -> None:
    one = follow(mirror)
    scratch.write("services.d/db.yaml", "name: db\ncommand: x\n")
    scratch.commit("two")
    two = mirror.fetch()
    assert mirror.compare("", one).relation is Relation.FIRST
    assert mirror.compare(one, one).relation is Relation.SAME
    assert mirror.compare(one, two).relation is Relation.AHEAD
    assert mirror.compare(two, one).relation is Relation.BEHIND
    scratch.git("commit", "-q", "--amend", "-m", "another subject")
    amended = mirror.fetch()
    step = mirror.compare(two, amended)
    assert (step.relation, step.same_tree) == (Relation.REWRITTEN, True)


def test_a_mirror_never_moves_from_where_it_is_not(mirror: Mirror, scratch: Scratch) -> None:
    one = follow(mirror)
    scratch.write("x", "y")
    scratch.commit("two")
    two = mirror.fetch()
    with pytest.raises(HostError, match="cannot run git update-ref"):
        mirror.advance(two, two)
    assert mirror.verified() == one


def test_a_missing_branch_is_no_error_and_others_are_named(
    scratch: Scratch, tmp_path: Path
) -> None:
    mirror = mirror_of(scratch, tmp_path, branch="release")
    assert mirror.look() == ""
    assert list(mirror.others()) == ["main"]


def test_another_branch_begins_where_the_last_one_was(scratch: Scratch, tmp_path: Path) -> None:
    one = follow(mirror_of(scratch, tmp_path))
    other = mirror_of(scratch, tmp_path, branch="release/2.x")
    assert other.verified() == one


def test_another_address_of_the_same_history_is_followed_on(
    scratch: Scratch, tmp_path: Path
) -> None:
    one = follow(mirror_of(scratch, tmp_path))
    scratch.git("clone", "-q", "--bare", str(scratch.top), str(tmp_path / "moved.git"))
    moved = mirror_of(scratch, tmp_path, url=f"file://{tmp_path}/moved.git")
    assert (moved.verified(), moved.fetch()) == (one, one)


def test_the_manifests_may_be_in_a_folder(scratch: Scratch, tmp_path: Path) -> None:
    scratch.write("hosts/a/services.d/only.yaml", "name: only\ncommand: x\n")
    scratch.commit("a host")
    address = check_url(str(scratch.top), Path("/"))
    mirror = Mirror(tmp_path / "mirror.git", address, "main", "hosts/a")
    mirror.open()
    assert list(mirror.read(follow(mirror)).files) == ["services.d/only.yaml"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("/nowhere/at/all.git", "does not appear to be a git repository"),
        ("http://127.0.0.1:1/d.git", "Failed to connect"),
        ("ssh://127.0.0.1:1/d.git", "Could not read from remote repository"),
    ],
)
def test_g7_a_side_that_is_down_is_said_with_a_mend(url: str, words: str, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirror.git", check_url(url, Path("/")), "main")
    mirror.open()
    with pytest.raises(HostError, match=words) as refused:
        mirror.look()
    assert str(refused.value).startswith(f"cannot reach {url}")
    assert refused.value.mend


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "a byte now and then"])
@pytest.mark.parametrize(
    ("way", "opening"),
    [("http", b"HTTP/1.1 200 OK\r\nX: "), ("git", b"0099"), ("ssh", b"SSH-2.0-")],
)
def test_g8_a_side_that_never_comes_to_an_end_is_given_up(
    way: str, opening: bytes, is_silent: bool, tmp_path: Path
) -> None:
    answer = b"" if is_silent else opening
    with socket.create_server(("127.0.0.1", 0)) as server, dripping(server, answer):
        url = f"{way}://127.0.0.1:{server.getsockname()[1]}/d.git"
        address = check_url(url, Path("/"))
        mirror = Mirror(tmp_path / "mirror.git", address, "main", patience_s=0.3)
        mirror.open()
        with pytest.raises(HostError, match=r"no answer within 0\.3 s"):
            mirror.look()


def test_g10_more_than_a_fetch_may_bring_is_refused_and_cleared_away(
    scratch: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = mirror_of(scratch, tmp_path)
    before = follow(mirror)
    (scratch.top / "huge").write_bytes(os.urandom(3 << 20))
    huge = scratch.commit("huge")
    monkeypatch.setattr(transport, "PACK_LIMIT_BYTES", 2 << 20)
    with pytest.raises(HostError, match="more than 2 MiB at once") as refused:
        mirror.fetch()
    assert not list(mirror.repo.git_dir.glob("objects/pack/tmp_*"))
    assert mirror.read(before).commit == before == mirror.verified()
    subprocess.run(refused.value.mend.partition(": ")[2].split(), check=True)
    assert mirror.fetch() == huge


@pytest.mark.parametrize("lost", ["HEAD:services.d/web.yaml", "HEAD"])
def test_g17_a_damaged_mirror_is_made_anew_and_followed_on_from_where_it_was(
    scratch: Scratch, tmp_path: Path, lost: str
) -> None:
    mirror = mirror_of(scratch, tmp_path)
    before = follow(mirror)
    damage(mirror, scratch.git("rev-parse", lost).strip())
    assert "services.d/web.yaml" in mirror.read(before).files
    damage(mirror, scratch.git("rev-parse", lost).strip())
    scratch.write("x", "y")
    after = scratch.commit("two")
    assert (mirror.fetch(), mirror.verified()) == (after, before)
    assert mirror.compare(before, after).relation is Relation.AHEAD
    assert "services.d/web.yaml" in mirror.read(before).files
    assert [place.name for place in tmp_path.glob("mirror.git*")] == ["mirror.git"]


@pytest.mark.parametrize("point", ["git.renew.before", "git.renew.parted"])
def test_g17_what_fails_as_a_mirror_is_made_anew_is_done_the_next_time(
    scratch: Scratch, tmp_path: Path, point: str
) -> None:
    mirror = mirror_of(scratch, tmp_path)
    before = follow(mirror)
    damage(mirror, scratch.git("rev-parse", "HEAD:services.d/web.yaml").strip())
    failpoints.arm(f"{point}:raise", str(tmp_path))
    try:
        with pytest.raises((HostError, NotFoundError)):
            mirror.read(before)
    finally:
        failpoints.arm("", "")
    assert "services.d/web.yaml" in mirror.read(before).files
    assert mirror.verified() == before


def test_g17_a_damaged_mirror_stays_while_what_it_followed_is_nowhere_else(
    scratch: Scratch, tmp_path: Path
) -> None:
    """Otherwise whoever can damage it could have it follow anything."""
    mirror = mirror_of(scratch, tmp_path)
    before = follow(mirror)
    damage(mirror, scratch.git("rev-parse", "HEAD:services.d/web.yaml").strip())
    scratch.git("commit", "-q", "--amend", "-m", "another history")
    with pytest.raises(NotFoundError, match="cannot read the object"):
        mirror.read(before)
    assert mirror.verified() == before


READ = """
import sys
from pathlib import Path
from reconciler import failpoints
from tests.git.test_mirror import open_mirror
point, folder, home, url, commit = sys.argv[1:]
failpoints.arm(f"{point}:kill", folder)
open_mirror(Path(home), url).read(commit)
"""


@pytest.mark.parametrize("point", ["git.renew.before", "git.renew.parted", "git.renew.taken"])
def test_g17_whenever_the_host_dies_as_a_mirror_is_made_anew_the_next_one_follows_on(
    scratch: Scratch, tmp_path: Path, point: str
) -> None:
    mirror = mirror_of(scratch, tmp_path)
    before = follow(mirror)
    damage(mirror, scratch.git("rev-parse", "HEAD:services.d/web.yaml").strip())
    words = (point, str(tmp_path), str(tmp_path), str(scratch.top), before)
    done = subprocess.run([sys.executable, "-c", READ, *words], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    again = mirror_of(scratch, tmp_path)
    assert again.verified() == before
    assert "services.d/web.yaml" in again.read(before).files


def damage(mirror: Mirror, lost: str) -> None:
    """Have an object of a mirror be nonsense."""
    packs = mirror.repo.git_dir / "objects" / "pack"
    for pack in [*packs.glob("*.pack")]:
        data = pack.read_bytes()
        for part in packs.glob(f"{pack.stem}.*"):
            part.unlink()
        command = ["git", "-C", str(mirror.repo.git_dir), "unpack-objects", "-q"]
        subprocess.run(command, input=data, check=True)
    place = mirror.repo.git_dir / "objects" / lost[:2] / lost[2:]
    place.chmod(0o644)
    place.write_bytes(b"nonsense")


@contextmanager
def dripping(server: socket.socket, opening: bytes) -> Iterator[None]:
    """Have a server take one connection, and answer it without an end, or with nothing."""

    def speak() -> None:
        with server.accept()[0] as connection:
            connection.settimeout(0.05)
            connection.sendall(opening)
            with suppress(OSError):
                while not hung_up(connection):
                    connection.sendall(b"a" if opening else b"")

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def hung_up(connection: socket.socket) -> bool:
    """Tell whether the other side has closed, once it says something or a moment is over."""
    try:
        return not connection.recv(65536)
    except TimeoutError:
        return False


def test_g9_nobody_is_asked_for_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    program = tmp_path / "ask"
    program.write_text(f"#!/bin/sh\ntouch {asked}\necho guess\n")
    program.chmod(0o755)
    for name in ("GIT_ASKPASS", "SSH_ASKPASS"):
        monkeypatch.setenv(name, str(program))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="deploy"')
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with serving(Handler) as url:
        mirror = Mirror(tmp_path / "mirror.git", check_url(f"{url}/d.git", Path("/")), "main")
        mirror.open()
        with pytest.raises(HostError, match="cannot reach") as refused:
            mirror.look()
    assert "credential" in refused.value.mend
    assert not asked.exists()


def test_g17_a_lying_side_is_not_believed(scratch: Scratch, tmp_path: Path) -> None:
    """What it sends is checked: an object whose content is not that of its name is refused."""
    mirror = mirror_of(scratch, tmp_path)
    tree = scratch.git("rev-parse", "main^{tree}").strip()
    commit = f"tree {tree}\nauthor a <a@b> 1 +0000\ncommitter broken\n\nx\n"
    done = subprocess.run(
        ["git", "-C", scratch.top, "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=commit.encode(),
        capture_output=True,
        check=True,
    )
    scratch.git("update-ref", "refs/heads/main", done.stdout.decode().strip())
    with pytest.raises(HostError, match="missingEmail"):
        mirror.fetch()
    assert mirror.fetched() == ""


def test_a_secret_of_the_address_is_in_no_message(tmp_path: Path) -> None:
    url = "http://ana:geheim@127.0.0.1:1/d.git"
    mirror = Mirror(tmp_path / "mirror.git", check_url(url, Path("/")), "main")
    mirror.open()
    with pytest.raises(HostError) as refused:
        mirror.look()
    assert "geheim" not in f"{refused.value} {refused.value.mend}"


def test_hooks_and_programs_of_the_mirror_do_not_run(scratch: Scratch, tmp_path: Path) -> None:
    mirror = mirror_of(scratch, tmp_path)
    hook = tmp_path / "mirror.git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\n")
    hook.chmod(0o755)
    follow(mirror)
    assert not (tmp_path / "owned").exists()


def test_the_runtime_sees_it_without_waiting_in_its_loop(mirror: Mirror, scratch: Scratch) -> None:
    async def look() -> tuple[str, str, str]:
        branch = RemoteBranch(mirror)
        before = await branch.open()
        tip = await branch.fetch()
        step = await branch.compare(before, tip)
        await branch.advance(tip, before)
        return before, step.relation, await branch.open()

    assert asyncio.run(look()) == ("", "first", scratch.git("rev-parse", "main").strip())
