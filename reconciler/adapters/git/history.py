"""Read commits: who changed a file, when, and what Weaver noted about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from reconciler.adapters.git.checkout import Repo
from reconciler.adapters.git.message import Identity, parse_trailers, services_in
from reconciler.adapters.git.plumbing import run
from reconciler.adapters.git.state import head
from reconciler.ports import LogEntry, ManifestError

LIMIT = 1000
"""The most commits that one question looks at."""

_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%s", "%(trailers:only,unfold)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit as read; no commit message contains a NUL, so the fields are unmistakable."""

    sha: str
    parents: tuple[str, ...]
    author: Identity
    at: float
    subject: str
    trailers: Mapping[str, str]

    @property
    def services(self) -> tuple[str, ...]:
        """Give the services that the commit says it changed; empty for a person's commit."""
        return services_in(self.trailers)

    @property
    def is_ours(self) -> bool:
        """Tell whether Weaver wrote it for somebody."""
        return "Weaver-Op" in self.trailers and len(self.parents) <= 1


def commits(repo: Repo, *, path: str | None = None, limit: int = LIMIT) -> Sequence[Commit]:
    """Give the commits that HEAD descends from, newest first by descent and not by date."""
    tip = head(repo).commit
    if not tip:
        return ()
    template = "%x00".join(_FIELDS) + "%x00"
    output = run(
        repo,
        *("rev-list", "--no-commit-header", f"--format=tformat:{template}", "--topo-order"),
        *(f"--max-count={max(1, min(limit, LIMIT))}", tip, "--"),
        *([repo.in_git(check_path(path))] if path is not None else []),
    )
    return tuple(_parse(output.decode(errors="replace")))


def check_path(path: str) -> str:
    """Give a path back if it lies below the root. Raises ManifestError."""
    parts = PurePosixPath(path).parts
    if not parts or parts[0] == "/" or ".." in parts or "\0" in path:
        raise ManifestError(
            f"cannot look up {path!r}: it is not below the repository's folder",
            mend="give the path relative to the folder that holds services.d",
        )
    return path


def _parse(text: str) -> Iterator[Commit]:
    fields = text.split("\0")
    for first in range(0, len(fields) - len(_FIELDS), len(_FIELDS)):
        sha, parents, name, email, at, subject, trailers = fields[first : first + len(_FIELDS)]
        yield Commit(
            sha=sha.strip(),
            parents=tuple(parents.split()),
            author=Identity(name=name, email=email),
            at=float(at or 0),
            subject=subject,
            trailers=parse_trailers(trailers),
        )


def log(repo: Repo, path: str, limit: int) -> Sequence[LogEntry]:
    """Give the commits that touched a file, newest first."""
    return tuple(_entry(commit) for commit in commits(repo, path=path, limit=limit))


def service_log(repo: Repo, path: str, service: str, limit: int) -> Sequence[LogEntry]:
    """Give the commits that touched a service: of its file's, those not made for another one."""
    touching = (
        commit
        for commit in commits(repo, path=path)
        if not commit.services or service in commit.services
    )
    return tuple(_entry(commit) for commit, _ in zip(touching, range(limit), strict=False))


def landed(repo: Repo, op_id: str, since: str) -> str:
    """Give the commit of an operation, looking back as far as `since`; empty where there is none.

    A commit of several operations lists them all.
    """
    for commit in commits(repo):
        if commit.sha == since:
            break
        if op_id in commit.trailers.get("Weaver-Op-Id", "").split(", "):
            return commit.sha
    return ""


def who(repo: Repo, path: str) -> LogEntry | None:
    """Give the last commit that touched a file, None where none did."""
    return next(iter(log(repo, path, 1)), None)


def _entry(commit: Commit) -> LogEntry:
    return LogEntry(
        commit=commit.sha,
        author=str(commit.author),
        at=commit.at,
        subject=commit.subject,
        trailers=commit.trailers,
    )
