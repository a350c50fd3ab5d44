"""Put the parts together that read, watch and edit the manifests of a checkout."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from reconciler.adapters.contents import Hasher
from reconciler.adapters.git import state
from reconciler.adapters.git.checkout import locate
from reconciler.adapters.git.index import read_index
from reconciler.adapters.reader import FileReader
from reconciler.adapters.reader.looks import Stamps, look
from reconciler.adapters.watch import Watch
from reconciler.manifest.config import CONFIG_FILE
from reconciler.manifest.naming import FOLDER, is_manifest
from reconciler.model.desired import Revision
from reconciler.model.units import ServiceName
from reconciler.runtime.drafting import Texts
from reconciler.runtime.worktree import Hands, Worktree


def open_worktree(
    root: Path, reader: FileReader, watch: Watch, only: Iterable[ServiceName]
) -> Worktree:
    """Give the checkout as the daemon follows it."""
    saved = SavedTexts(root)

    hands = Hands(
        read_saved=reader.read_worktree,
        read_texts=reader.read_texts,
        hold=partial(state.reading_hold, root),
        head=lambda: state.head(locate(root)),
        saved=saved.to_change,
        dirty=partial(_dirty, root),
        changes=watch.changes,
        also_watch=watch.also,
        contents=Hasher(root),
        replay=reader.replay,
        split=reader.split,
    )
    return Worktree(root, hands, only=only)


class SavedTexts:
    """The manifests and weaver.yaml as saved; only what changed is read again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stamps: Stamps = {}
        self._texts: dict[str, bytes] = {}

    def read(self) -> Texts:
        """Give every text by its path; what cannot be read is left out."""
        return self._read(at_manifests=True)

    def to_change(self) -> Texts:
        """Give every text, also where git took the folder away with the last manifest in it.

        A folder that should hold manifests and is gone is an accident: beginning a new one would
        mean that nothing else is wanted any more. Raises SourceHeldError then, as `read` does.
        """
        return self._read(at_manifests=not self._is_emptied())

    def _is_emptied(self) -> bool:
        if os.path.lexists(self._root / FOLDER):
            return False
        return not any(map(is_manifest, read_index(locate(self._root))))

    def _read(self, *, at_manifests: bool) -> Texts:
        seen = look(str(self._root), {CONFIG_FILE}, self._stamps, at_manifests=at_manifests)
        fresh = {path: data for path, data in seen.changed.items() if isinstance(data, bytes)}
        kept = {
            path: data
            for path, data in self._texts.items()
            if path in seen.stamps and path not in seen.changed
        }
        self._stamps, self._texts = seen.stamps, {**kept, **fresh}
        return dict(sorted(self._texts.items()))


def _dirty(root: Path, head: Revision, saved: Texts) -> tuple[str, ...]:
    manifests = {path: data for path, data in saved.items() if path != CONFIG_FILE}
    return state.dirty_paths(locate(root), head.commit, manifests)
