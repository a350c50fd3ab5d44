"""Put the parts together that read, watch and edit the manifests of a checkout."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from reconciler.adapters.git import state
from reconciler.adapters.git.checkout import locate
from reconciler.adapters.reader import FileReader
from reconciler.adapters.reader.looks import Stamps, look
from reconciler.adapters.watch import Watch
from reconciler.manifest.config import CONFIG_FILE
from reconciler.model.desired import Revision
from reconciler.model.units import ServiceName
from reconciler.runtime.worktree import Hands, Texts, Worktree


def require_repository(root: Path) -> None:
    """See that there is a git repository. Raises NotFoundError with the mend."""
    locate(root)


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
        saved=saved.read,
        dirty=partial(_dirty, root),
        changes=watch.changes,
        also_watch=watch.also,
        replay=reader.replay,
        split=reader.split,
    )
    return Worktree(root, hands, only=only)


class SavedTexts:
    """The manifests and weaver.yaml as saved; only what changed is read again."""

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._stamps: Stamps = {}
        self._texts: dict[str, bytes] = {}

    def read(self) -> Texts:
        """Give every text by its path; what cannot be read is left out."""
        seen = look(self._root, {CONFIG_FILE}, self._stamps, at_manifests=True)
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
