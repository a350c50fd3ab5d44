"""Our mirror of a repository that is followed: a bare one, with the branch where we believe it.

`refs/heads/BRANCH` is the verified head: what is followed, and what the next one must descend
from. `refs/weaver/fetched` is what the other side said last. A mirror that is damaged is made anew,
and follows on from where it was; one that is lost believes what it sees first.
"""

from __future__ import annotations

import logging
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from reconciler.adapters.git import plumbing, revisions, state
from reconciler.adapters.git.checkout import Bare
from reconciler.adapters.git.remote import pushing, transport
from reconciler.adapters.git.remote.address import Address
from reconciler.core.heads import Relation, Step
from reconciler.failpoints import failpoint
from reconciler.ports import HostError, NotFoundError

log = logging.getLogger(__name__)
T = TypeVar("T")

FETCHED = "refs/weaver/fetched"
TIDY_OBJECTS = "2000"
"""So many loose objects are packed after a fetch."""
CHECK_S = 60.0
"""For a look at all objects, after some could not be read."""
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCHES = "refs/heads/"


class Mirror:
    """The mirror of one branch. Every call blocks, and ends in time."""

    def __init__(
        self,
        git_dir: Path,
        address: Address,
        branch: str,
        folder: str = "",
        *,
        patience_s: float = transport.LOOK_DEADLINE_S,
        borrowed: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Keep it in a directory; `borrowed` tells git of objects that are kept elsewhere."""
        self._patience_s = patience_s
        self.repo = Bare.at(git_dir, folder, borrowed)
        self._renewing = threading.Lock()
        self.address = address
        self.branch = branch

    def open(self) -> None:
        """Make the mirror where there is none, and have it follow this address and branch.

        A branch that was not followed before begins where the last one was: what it brings must
        descend from that.
        """
        if not (self.repo.git_dir / "HEAD").is_file() and not self._take_up_new():
            self._make()
        self._sweep()
        url = plumbing.run(self.repo, "config", "--default", "", "--get", "remote.origin.url")
        if url.decode(errors="replace").rstrip("\n") != self.address.url:
            plumbing.run(self.repo, "config", "remote.origin.url", self.address.url)
        before = state.head(self.repo)
        if before.branch == self.branch:
            return
        if before.commit:
            place = f"{_BRANCHES}{self.branch}"
            plumbing.run(self.repo, "update-ref", "--no-deref", place, before.commit)
        plumbing.run(self.repo, "symbolic-ref", "HEAD", f"{_BRANCHES}{self.branch}")

    def _make(self) -> None:
        place = self.repo.git_dir
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        head = f"--initial-branch={self.branch}"
        words = ("init", "-q", "--bare", head, "--", str(place))
        plumbing.run(None, *words, extra=self.repo.objects)

    # --- the other side ----------------------------------------------------------------------

    def look(self) -> str:
        """Ask where the branch is; empty where there is no such branch. Raises HostError."""
        wanted = f"{_BRANCHES}{self.branch}"
        said = self._ask("--refs", "origin", wanted)
        for line in said.decode(errors="replace").splitlines():
            commit, _, name = line.partition("\t")
            if name == wanted:
                return self._commit(commit)
        return ""

    def _ask(self, *words: str) -> bytes:
        return transport.talk(
            self.repo,
            self.address,
            *("ls-remote", "--quiet", *words),
            deadline_s=self._patience_s,
        )

    def _commit(self, text: str) -> str:
        if not _COMMIT.fullmatch(text):
            raise HostError(f"cannot follow {self.address}: it answers nonsense", mend="look at it")
        return text

    def fetch(self) -> str:
        """Bring the branch here, and give its commit. Raises HostError."""
        self._whole(self._bring)
        found = self.fetched()
        self._tidy()
        return found

    def _bring(self) -> None:
        try:
            transport.fetch(self.repo, self.address, self.branch, FETCHED)
        except HostError as why:
            if self._sweep() < transport.PACK_LIMIT_BYTES:
                raise
            by_hand = f"git -C {self.repo.place} fetch origin +{_BRANCHES}{self.branch}:{FETCHED}"
            limit = transport.PACK_LIMIT_BYTES >> 20
            raise HostError(
                f"cannot fetch {self.branch} of {self.address}: more than {limit} MiB at once",
                mend=f"look at it, then fetch it once by hand: {by_hand}",
            ) from why

    def _sweep(self) -> int:
        """Remove what fetches left that were cut off; give the size of the largest file of it."""
        largest = 0
        for name in ("tmp_pack_*", "tmp_idx_*", "tmp_rev_*"):
            for left in (self.repo.git_dir / "objects" / "pack").glob(name):
                with suppress(FileNotFoundError):
                    largest = max(largest, left.stat().st_size)
                    left.unlink()
        return largest

    def _tidy(self) -> None:
        """Pack what many small fetches left; what fails here is tried again by the next one."""
        settings = ("-c", f"gc.auto={TIDY_OBJECTS}", "-c", "gc.autoDetach=false")
        try:
            plumbing.run(self.repo, *settings, "gc", "--auto", "--quiet")
        except HostError:
            return

    def push(self, commit: str, home: str) -> None:
        """Move the other side's branch forwards to a commit of ours; see `pushing.push`."""
        pushing.push(self.repo, self.address, commit, self.branch, home)

    # --- what is here ------------------------------------------------------------------------

    def verified(self) -> str:
        """Give the commit that is followed; empty before the first."""
        return state.head(self.repo).commit

    def fetched(self) -> str:
        """Give the commit that was fetched last; empty before the first."""
        name = f"{FETCHED}^{{commit}}"
        said = plumbing.run(self.repo, "rev-parse", "-q", "--verify", name, accept=(0, 1, 128))
        return said.decode("ascii", errors="replace").strip()

    def compare(self, old: str, new: str) -> Step:
        """Say how one commit comes after another. Raises HostError where one is missing."""
        return Step(
            verified=old,
            fetched=new,
            relation=self._relation(old, new),
            same_tree=self._same(old, new),
        )

    def _relation(self, old: str, new: str) -> Relation:
        if not old:
            return Relation.FIRST
        if old == new:
            return Relation.SAME
        found = plumbing.run(self.repo, "merge-base", old, new, accept=(0, 1))
        parted = found.decode("ascii", errors="replace").strip()
        return {old: Relation.AHEAD, new: Relation.BEHIND}.get(parted, Relation.REWRITTEN)

    def _same(self, old: str, new: str) -> bool:
        if not old:
            return False
        names = (f"{old}^{{tree}}", f"{new}^{{tree}}")
        one, other = plumbing.run(self.repo, "rev-parse", *names).split()
        return one == other

    def advance(self, new: str, old: str) -> None:
        """Follow another commit from now on, unless somebody moved the branch meanwhile."""
        name = f"{_BRANCHES}{self.branch}"
        expected = old or "0" * len(new)
        failpoint("git.follow.before")
        plumbing.run(self.repo, "update-ref", "-m", "weaver: verified", name, new, expected)
        failpoint("git.follow.moved")

    def read(self, commit: str) -> revisions.RevisionFiles:
        """Read the manifests of a commit. Raises NotFoundError."""
        return self._whole(lambda: revisions.read_revision(self.repo, commit))

    # --- a mirror that is damaged --------------------------------------------------------------

    def _whole(self, work: Callable[[], T]) -> T:
        """Do what needs all objects; if some are damaged, once more after they came anew."""
        try:
            return work()
        except (HostError, NotFoundError):
            with self._renewing:
                if not self._is_damaged() or not self._is_renewed():
                    raise
            return work()

    def _is_renewed(self) -> bool:
        try:
            return self._take_up_new() or self._renew()
        except OSError as why:
            log.warning("the mirror of %s is damaged, and stays so: %s", self.address, why)
            return False

    def _is_damaged(self) -> bool:
        if not self.repo.git_dir.exists():
            return True
        env = plumbing.environment(self.repo)
        words = ("fsck", "--no-dangling", "--no-progress")
        try:
            code, _, _ = plumbing.converse(env, words, cwd=str(self.repo.place), deadline_s=CHECK_S)
        except HostError:
            return False
        return code != 0

    def _renew(self) -> bool:
        """Fetch everything anew beside it, and change places; what is followed has to be in it."""
        verified, begun = self.verified(), self._beside("part")
        shutil.rmtree(begun, ignore_errors=True)
        fresh = Mirror(
            begun, self.address, self.branch, self.repo.folder, borrowed=self.repo.quarantine
        )
        try:
            fresh.open()
            fresh._bring()
            if verified:
                plumbing.run(fresh.repo, "merge-base", "--is-ancestor", verified, FETCHED)
                fresh.advance(verified, "")
        except HostError as why:
            log.warning("the mirror of %s is damaged, and stays so: %s", self.address, why)
            shutil.rmtree(begun, ignore_errors=True)
            return False
        new, damaged = self._beside("new"), self._beside("damaged")
        for left in (new, damaged):
            shutil.rmtree(left, ignore_errors=True)
        failpoint("git.renew.before")
        begun.replace(new)
        self.repo.git_dir.rename(damaged)
        failpoint("git.renew.parted")
        log.warning("the mirror of %s was damaged, and was made anew", self.address)
        is_there = self._take_up_new()
        shutil.rmtree(damaged, ignore_errors=True)
        return is_there

    def _beside(self, what: str) -> Path:
        return self.repo.git_dir.with_name(f"{self.repo.git_dir.name}.{what}")

    def _take_up_new(self) -> bool:
        """Put a new one in place of none, if there is one: what is called so is whole."""
        new = self._beside("new")
        if self.repo.git_dir.exists() or not new.is_dir():
            return False
        self.repo.git_dir.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new.rename(self.repo.git_dir)
        failpoint("git.renew.taken")
        return True

    def others(self, limit: int = 5) -> Sequence[str]:
        """Name branches of the other side, for whoever named one that is not there."""
        said = self._ask("--heads", "origin")
        lines = said.decode(errors="replace").splitlines()[:limit]
        return [line.partition("\t")[2].removeprefix(_BRANCHES) for line in lines]
