"""Read the three texts that a manifest has at once: committed, staged and saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.adapters.git import index, revisions, saved
from reconciler.adapters.git.checkout import Checkout, Repo
from reconciler.adapters.git.index import Staged
from reconciler.adapters.git.listing import FILE_MODES, LINK_MODE, Entry, list_tree
from reconciler.adapters.git.revisions import why_refused
from reconciler.adapters.git.saved import SavedFile
from reconciler.adapters.git.state import algorithm_of, blob_id
from reconciler.manifest.naming import is_manifest
from reconciler.model.desired import Revision


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """The manifests of HEAD, of the person's index and of the work tree."""

    base: Revision
    committed: Mapping[str, bytes]
    """Without links: those are not edited."""
    staged: Mapping[str, bytes]
    """Without what is only intended (`git add -N`), an empty entry to git."""
    saved: Mapping[str, bytes]
    linked: Mapping[str, bytes]
    """What HEAD's links lead to; a change that would alter one is refused."""
    committed_entries: Mapping[str, Staged]
    staged_entries: Mapping[str, Staged]
    saved_files: Mapping[str, SavedFile]


def read(checkout: Checkout, base: Revision) -> Layers:
    """Read all three. Raises ConflictError where the index has unresolved conflicts."""
    saved_files = saved.read_saved(checkout.root)
    staged_entries = {
        path: entry
        for path, entry in index.read_index(checkout).items()
        if is_manifest(path) and entry.mode in FILE_MODES
    }
    entries, links = _listed(checkout, base)
    texts = _texts(checkout, entries, staged_entries, saved_files)
    return Layers(
        base=base,
        committed={path: texts[entry.blob] for path, entry in entries.items()},
        staged={
            path: texts[entry.blob]
            for path, entry in staged_entries.items()
            if texts[entry.blob] or path in entries
        },
        saved={path: file.data for path, file in saved_files.items()},
        linked=revisions.read_entries(checkout, base.commit, links).files if links else {},
        committed_entries=entries,
        staged_entries=staged_entries,
        saved_files=saved_files,
    )


def read_committed(repo: Repo, base: Revision) -> Layers:
    """Read the commit alone, as where nobody has staged or saved anything else."""
    entries, links = _listed(repo, base)
    texts = revisions.read_blobs(repo, {entry.blob for entry in entries.values()})
    committed = {path: texts[entry.blob] for path, entry in entries.items()}
    return Layers(
        base=base,
        committed=committed,
        staged=committed,
        saved=committed,
        linked=revisions.read_entries(repo, base.commit, links).files if links else {},
        committed_entries=entries,
        staged_entries=entries,
        saved_files={},
    )


def _listed(repo: Repo, base: Revision) -> tuple[dict[str, Staged], list[Entry]]:
    """Give the commit's manifests by path, and those that are links."""
    listed = list_tree(repo, base.commit) if base.commit else []
    manifests = [entry for entry in listed if entry.is_manifest and not why_refused(entry)]
    entries = {
        entry.path: Staged(path=entry.path, mode=entry.mode, blob=entry.blob)
        for entry in manifests
        if entry.mode in FILE_MODES
    }
    return entries, [entry for entry in manifests if entry.mode == LINK_MODE]


def _texts(
    checkout: Checkout,
    entries: Mapping[str, Staged],
    staged: Mapping[str, Staged],
    saved_files: Mapping[str, SavedFile],
) -> Mapping[str, bytes]:
    """Give every committed and staged text by its id; git is asked only for what is not saved."""
    wanted = {entry.blob for entry in entries.values()} | {entry.blob for entry in staged.values()}
    algorithm = algorithm_of(next(iter(wanted), ""))
    known = {blob_id(file.data, algorithm): file.data for file in saved_files.values()}
    return known | revisions.read_blobs(checkout, wanted - known.keys())
