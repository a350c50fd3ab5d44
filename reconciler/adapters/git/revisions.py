"""Name revisions, and read the manifests of one from the object database.

What a person types as a revision is checked before git sees it, and git is told where options end.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.adapters.git.checkout import Repo
from reconciler.adapters.git.listing import FILE_MODES, LINK_MODE, SETTINGS, Entry, list_tree
from reconciler.adapters.git.plumbing import run
from reconciler.adapters.git.state import head
from reconciler.manifest.limits import MAX_FILE_BYTES
from reconciler.manifest.naming import FOLDER, is_passing
from reconciler.ports import ManifestError, NotFoundError

REVISION_LIMIT = 256
TOTAL_LIMIT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionFiles:
    """The manifests of one revision, and what stands in their place but is none."""

    commit: str
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Manifests, `weaver.yaml`, and what links inside the repository lead to."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Path to why it is not read: a link out of the repository, a submodule, too large."""
    others: tuple[str, ...] = ()
    """Files below `services.d` whose names are not those of manifests."""
    links: frozenset[str] = frozenset()
    """Which of `files` are symbolic links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Two ends to compare; `head` is empty where the other end is not a commit."""

    base: str
    head: str = ""
    tip: str = ""
    """The newest commit of the branch that is compared against, which `base` may lie behind."""


def check_revision(text: str) -> str:
    """Give the text back if it may be handed to git as a revision. Raises ManifestError."""
    if not text or len(text) > REVISION_LIMIT or text.startswith("-") or not text.isprintable():
        raise ManifestError(
            f"cannot use {text[:REVISION_LIMIT]!r} as a revision",
            mend="name a commit, a branch or a tag",
        )
    return text


def resolve(repo: Repo, text: str) -> str:
    """Give the commit that a revision names. Raises NotFoundError."""
    output = run(
        repo,
        *("rev-parse", "-q", "--verify", "--end-of-options", f"{check_revision(text)}^{{commit}}"),
        accept=(0, 1, 128),
    )
    commit = output.decode("ascii", errors="replace").strip()
    if not commit:
        raise NotFoundError(
            f"cannot find the revision {text!r} in {repo.place}",
            mend="see `git log --oneline --all`, or fetch it first",
        )
    return commit


def resolve_span(repo: Repo, text: str) -> Span:
    """Resolve `BASE`, `BASE..HEAD` or `BASE...HEAD`; three dots start where the two parted."""
    before, dots, after = _split(check_revision(text))
    base = resolve(repo, before or "HEAD")
    if not dots:
        return Span(base=base, tip=base)
    other = resolve(repo, after or "HEAD")
    parted = merge_base(repo, base, other) if dots == "..." else base
    return Span(base=parted, head=other, tip=base)


def _split(text: str) -> tuple[str, str, str]:
    for dots in ("...", ".."):
        before, found, after = text.partition(dots)
        if found:
            return before, found, after
    return text, "", ""


def merge_base(repo: Repo, one: str, other: str) -> str:
    """Give the commit at which two histories parted. Both are commits already resolved."""
    output = run(repo, "merge-base", "--end-of-options", one, other, accept=(0, 1))
    base = output.decode("ascii").strip()
    if not base:
        raise NotFoundError(
            f"cannot compare {one[:12]} with {other[:12]}: they share no commit",
            mend="fetch the history between them: `git fetch --unshallow`",
        )
    return base


def read_revision(repo: Repo, text: str) -> RevisionFiles:
    """Read all manifests of a revision. Raises NotFoundError."""
    if text == "HEAD" and not head(repo).commit:
        return RevisionFiles(commit="")
    commit = resolve(repo, text)
    return read_entries(repo, commit, list_tree(repo, commit))


def read_paths(repo: Repo, commit: str, paths: Sequence[str]) -> dict[str, bytes | None]:
    """Read some files of a commit (empty: of none); None where it has no such file."""
    found = list_tree(repo, commit, paths) if commit and paths else []
    blobs = {entry.path: entry.blob for entry in found if entry.mode in FILE_MODES}
    texts = read_blobs(repo, blobs.values())
    return {path: texts[blobs[path]] if path in blobs else None for path in paths}


def read_any(repo: Repo, tree: str, paths: Iterable[str], most_bytes: int) -> dict[str, bytes]:
    """Read whatever files a commit has, the index where `tree` is empty; others are left out.

    Left out is also what is larger than so many bytes, and what is not below the repository.
    """
    asked = sorted(path for path in paths if _is_below(path))
    if not asked:
        return {}
    names = os.fsencode("".join(f"{tree}:{repo.in_git(path)}\n" for path in asked))
    lines = run(repo, "cat-file", "--batch-check", stdin=names).split(b"\n")
    blobs = {}
    for path, line in zip(asked, lines, strict=False):
        match line.decode(errors="replace").split(" "):
            case [blob, "blob", size] if int(size) <= most_bytes:
                blobs[path] = blob
    texts = read_blobs(repo, blobs.values())
    return {path: texts[blob] for path, blob in blobs.items()}


def _is_below(path: str) -> bool:
    return not path.startswith("/") and ".." not in path.split("/") and path.isprintable()


def read_entries(repo: Repo, commit: str, entries: Iterable[Entry]) -> RevisionFiles:
    """Read the entries that are manifests, and say why for those that cannot be read."""
    entries = list(entries)
    named = [entry for entry in entries if entry.is_manifest or entry.path == SETTINGS]
    others = [e for e in entries if not e.is_manifest and _is_visible(e.path)]
    refused = {entry.path: why for entry in named if (why := why_refused(entry))}
    refused |= _hidden_behind(repo, commit, others)
    wanted = [entry for entry in named if entry.path not in refused]
    _refuse_too_much(wanted)
    texts = read_blobs(repo, {e.blob for e in wanted if e.mode in FILE_MODES})
    linked, astray = _follow_links(
        repo, commit, [entry.path for entry in wanted if entry.mode == LINK_MODE]
    )
    plain = {entry.path: texts[entry.blob] for entry in wanted if entry.mode in FILE_MODES}
    return RevisionFiles(
        commit=commit,
        files=plain | linked,
        refused=refused | astray,
        others=tuple(sorted(entry.path for entry in others if entry.path not in refused)),
        links=frozenset(linked),
    )


def _is_visible(path: str) -> bool:
    return path != SETTINGS and not any(is_passing(part) for part in path.split("/"))


def why_refused(entry: Entry) -> str:
    """Say why an entry is not read as a manifest; empty where it is."""
    if entry.mode not in FILE_MODES and entry.mode != LINK_MODE:
        return "it is a submodule, not a file"
    if "\n" in entry.path:
        return "its name has a line break in it"
    if entry.size > MAX_FILE_BYTES:
        return f"it has {entry.size} bytes, the limit is {MAX_FILE_BYTES}"
    return ""


def _hidden_behind(repo: Repo, commit: str, others: Sequence[Entry]) -> dict[str, str]:
    """Say behind which paths, that are no manifests, there may be some that are not read."""
    hidden = {entry.path: why for entry in others if (why := _why_no_folder(entry))}
    links = [entry.path for entry in others if entry.mode == LINK_MODE and entry.path not in hidden]
    why = "it is a link to a folder, and those are not followed in a commit"
    return hidden | dict.fromkeys(_lead_to_folders(repo, commit, links), why)


def _why_no_folder(entry: Entry) -> str:
    if entry.mode not in FILE_MODES and entry.mode != LINK_MODE:
        return "it is a submodule, and what is in it is not read"
    if entry.path == FOLDER:
        return f"it is a {'link' if entry.mode == LINK_MODE else 'file'}, not a folder"
    return ""


def _lead_to_folders(repo: Repo, commit: str, paths: Sequence[str]) -> Iterator[str]:
    if not paths:
        return
    asked = os.fsencode("".join(f"{commit}:{repo.in_git(path)}\n" for path in paths))
    answers = _Answers(run(repo, "cat-file", "--batch-check", "--follow-symlinks", stdin=asked))
    for path in paths:
        words = answers.line()
        if "tree" in words:
            yield path
        elif words[-1].isdigit() and len(words) == 2:  # where a link leads that leads nowhere
            answers.body(int(words[1]))


def _refuse_too_much(entries: Iterable[Entry]) -> None:
    total = sum(entry.size for entry in entries)
    if total > TOTAL_LIMIT_BYTES:
        raise ManifestError(
            f"cannot read the manifests: they have {total} bytes, the limit is {TOTAL_LIMIT_BYTES}",
            mend="move what is no manifest out of services.d",
        )


def read_blobs(repo: Repo, blobs: Iterable[str]) -> dict[str, bytes]:
    """Read blobs by id, all with one git process. Raises HostError where one is missing."""
    wanted = sorted(set(blobs))
    if not wanted:
        return {}
    asked = "".join(f"{blob}\n" for blob in wanted).encode("ascii")
    answers = _Answers(run(repo, "cat-file", "--batch", stdin=asked))
    texts = {}
    for blob in wanted:
        texts[blob] = answers.take(blob)
    return texts


class _Answers:
    """What `cat-file --batch` printed: a line about each object, then its bytes."""

    def __init__(self, output: bytes) -> None:
        self._output = output
        self._at = 0

    def line(self) -> list[str]:
        """Take one line, as words."""
        end = self._output.index(b"\n", self._at)
        words = self._output[self._at : end].decode(errors="replace").split(" ")
        self._at = end + 1
        return words

    def body(self, size: int) -> bytes:
        """Take the bytes that the line before announced."""
        found = self._output[self._at : self._at + size]
        self._at += size + 1
        return found

    def take(self, blob: str) -> bytes:
        """Take one object that must be there."""
        words = self.line()
        if len(words) != 3 or words[1] != "blob":
            raise NotFoundError(
                f"cannot read the object {blob}: {' '.join(words[1:])}",
                mend="check the repository with `git fsck`",
            )
        return self.body(int(words[2]))


def _follow_links(
    repo: Repo, commit: str, paths: list[str]
) -> tuple[dict[str, bytes], dict[str, str]]:
    """Read what links lead to inside the commit's tree; say where the others lead."""
    found: dict[str, bytes] = {}
    astray: dict[str, str] = {}
    if not paths:
        return found, astray
    asked = os.fsencode("".join(f"{commit}:{repo.in_git(path)}\n" for path in paths))
    answers = _Answers(run(repo, "cat-file", "--batch", "--follow-symlinks", stdin=asked))
    for path in paths:
        match answers.line():
            case ["symlink", size]:
                target = answers.body(int(size)).decode(errors="replace")
                astray[path] = f"it is a link that leaves the repository, to {target}"
            case [_, "blob", size]:
                found[path] = answers.body(int(size))
            case [*words, size] if size.isdigit():
                answers.body(int(size))
                astray[path] = f"it is a link that leads to no file ({words[-1]})"
            case words:
                astray[path] = f"it is a link that leads to no file ({' '.join(words)})"
    return found, astray
