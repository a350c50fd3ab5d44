"""Read manifests and compare them with no daemon: as saved, staged, or of a commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.adapters.git import index, revisions, state
from reconciler.adapters.git.checkout import Checkout, locate
from reconciler.adapters.reader import Gathered, OfflineReader
from reconciler.adapters.reader.folder import unreadable
from reconciler.app.checkout import SavedTexts
from reconciler.core.diff import Language, compare, supposed
from reconciler.core.settle import settle
from reconciler.manifest.config import CONFIG_FILE, Config
from reconciler.manifest.fields import describe, effect_of
from reconciler.manifest.result import FileResult
from reconciler.model.desired import Desired, ManifestSet, Revision
from reconciler.ports import NotFoundError
from reconciler.runtime.messages import FileChange, Preview
from reconciler.runtime.paths import StatePaths
from reconciler.runtime.previews import errors

Texts = Mapping[str, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The manifests of one moment: what they say, and their texts."""

    manifests: ManifestSet
    texts: Texts
    config: Config


class Offline:
    """The manifests of one directory, read in this process."""

    def __init__(self, directory: Path) -> None:
        self._root = directory.resolve()
        self._reader = OfflineReader(str(self._root), StatePaths.of(self._root).cache)

    def saved(self) -> Snapshot:
        """Give the files as saved. Raises SourceHeldError where there is no services.d."""
        gathered = self._reader.read_saved()
        texts = SavedTexts(self._root).read()
        return self._snapshot(gathered, texts, self._saved_revision(texts))

    def staged(self) -> Snapshot:
        """Give the files as staged for the next commit."""
        found = index.read_staged(self._checkout())
        return self._of_files(found, Revision(commit=found.commit))

    def at(self, revision: str) -> Snapshot:
        """Give the files of a commit. Raises NotFoundError."""
        found = revisions.read_revision(self._checkout(), revision)
        return self._of_files(found, Revision(commit=found.commit))

    def given(self, texts: Texts) -> Snapshot:
        """Give files that are nowhere in the repository yet, on top of those that are saved."""
        merged = {**SavedTexts(self._root).read(), **texts}
        gathered = self._reader.read_texts(merged)
        return self._snapshot(gathered, merged, self._saved_revision(merged))

    def span(self, text: str) -> tuple[str, str]:
        """Resolve `BASE`, `BASE..HEAD` or `BASE...HEAD` to commits; no head: the saved files."""
        found = revisions.resolve_span(self._checkout(), text)
        return found.base, found.head

    def preview(self, base: Snapshot, head: Snapshot) -> Preview:
        """Say what a host that runs all of `base` would do about `head`."""
        before, after = _desired(base.manifests), _following(base.manifests, head.manifests)
        compared = compare(before, after, Language(describe=describe, effect_of=effect_of))
        paths = sorted({*base.texts, *head.texts} - {CONFIG_FILE})
        return Preview(
            mode="offline",
            base=before.revision,
            head=after.revision,
            changes=compared.changes,
            holds=compared.holds,
            invalid=errors(after.diagnostics),
            files=tuple(
                FileChange(path=path, before=_text(base, path), after=_text(head, path))
                for path in paths
                if base.texts.get(path) != head.texts.get(path)
            ),
            unchanged=compared.unchanged,
        )

    # --- putting together ------------------------------------------------------------------

    def _checkout(self) -> Checkout:
        return locate(self._root)

    def _saved_revision(self, texts: Texts) -> Revision:
        """Give HEAD and what differs from it; nothing where there is no repository."""
        try:
            checkout = self._checkout()
        except NotFoundError:
            return Revision()
        head = state.head(checkout)
        manifests = {path: data for path, data in texts.items() if path != CONFIG_FILE}
        return replace(head, dirty=state.dirty_paths(checkout, head.commit, manifests))

    def _of_files(self, found: revisions.RevisionFiles, revision: Revision) -> Snapshot:
        gathered = self._reader.read_texts(found.files)
        refused = tuple(
            FileResult(file=path, diagnostics=(unreadable(path, why),), is_broken=True)
            for path, why in sorted(found.refused.items())
        )
        whole = replace(gathered, files=(*gathered.files, *refused))
        return self._snapshot(whole, found.files, revision)

    def _snapshot(self, gathered: Gathered, texts: Texts, revision: Revision) -> Snapshot:
        # A commit need not hold the env files, so here they count by their names only.
        manifests = gathered.assemble(revision, with_env_files=False)
        return Snapshot(manifests=manifests, texts=texts, config=gathered.config)


def _desired(manifests: ManifestSet) -> Desired:
    return settle(manifests, {})


def _following(base: ManifestSet, head: ManifestSet) -> Desired:
    """Settle a head after a base: what is broken in the head stays as the base has it."""
    before = settle(base, {})
    return settle(head, supposed(before, before).services)


def _text(snapshot: Snapshot, path: str) -> str | None:
    data = snapshot.texts.get(path)
    return None if data is None else data.decode("utf-8", "replace")
