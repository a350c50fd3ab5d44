"""Read manifests and compare them with no daemon: as saved, staged, or of a commit."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.adapters.contents import MAX_BYTES, Hasher, hash_of
from reconciler.adapters.git import index, revisions, state
from reconciler.adapters.git.checkout import Checkout, locate
from reconciler.adapters.reader import Gathered, OfflineReader
from reconciler.adapters.reader.folder import unreadable
from reconciler.app.checkout import SavedTexts
from reconciler.core.diff import Language, compare, supposed
from reconciler.core.settle import settle
from reconciler.manifest.config import CONFIG_FILE, Config
from reconciler.manifest.fields import describe, effect_of
from reconciler.manifest.places import Places
from reconciler.manifest.result import FileResult
from reconciler.model.change import ServiceChange
from reconciler.model.desired import Definition, Desired, ManifestSet, Revision
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import ServiceName
from reconciler.ports import NotFoundError
from reconciler.runtime.choosing import loaded_files, with_contents
from reconciler.runtime.messages import FileChange, Preview
from reconciler.runtime.paths import StatePaths
from reconciler.runtime.previews import errors

Texts = Mapping[str, bytes]
Contents = Callable[[Iterable[str]], Mapping[str, str]]
"""Gives the hashes of files that services load, as far as they are to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The manifests of one moment: what they say, and their texts."""

    manifests: ManifestSet
    texts: Texts
    config: Config
    contents: Contents


class Offline:
    """The manifests of one directory, read in this process."""

    def __init__(self, directory: Path, *, cached: bool = True) -> None:
        self._root = directory.resolve()
        cache = StatePaths.of(self._root).cache if cached else None
        self._reader = OfflineReader(str(self._root), cache)

    def saved(self) -> Snapshot:
        """Give the files as saved. Raises SourceHeldError where there is no services.d."""
        gathered = self._reader.read_saved()
        texts = SavedTexts(self._root).read()
        return self._snapshot(gathered, texts, self._saved_revision(texts), self._on_disk)

    def staged(self) -> Snapshot:
        """Give the files as staged for the next commit."""
        found = index.read_staged(self._staging())
        return self._of_files(found, self._in_tree(""))

    def at(self, revision: str) -> Snapshot:
        """Give the files of a commit. Raises NotFoundError."""
        found = revisions.read_revision(self._checkout(), revision)
        return self._of_files(found, self._in_tree(found.commit) if found.commit else _unknown)

    def given(self, texts: Texts) -> Snapshot:
        """Give files that are nowhere in the repository yet, on top of those that are saved."""
        merged = {**SavedTexts(self._root).read(), **texts}
        gathered = self._reader.read_texts(merged)
        return self._snapshot(gathered, merged, self._saved_revision(merged), self._on_disk)

    def span(self, text: str) -> revisions.Span:
        """Resolve `BASE`, `BASE..HEAD` or `BASE...HEAD` to commits; no head: the saved files."""
        return revisions.resolve_span(self._checkout(), text)

    def folder(self) -> str:
        """Give where in the repository the manifests lie: empty at its top, or `deploy/`."""
        try:
            return self._checkout().prefix
        except NotFoundError:
            return ""

    def preview(self, base: Snapshot, head: Snapshot) -> Preview:
        """Say what a host that runs all of `base` would do about `head`."""
        then, now = _loading(base, head)
        before, after = _desired(then), _following(then, now)
        compared = compare(before, after, Language(describe=describe, effect_of=effect_of))
        paths = sorted({*base.texts, *head.texts} - {CONFIG_FILE})
        return Preview(
            mode="offline",
            base=before.revision,
            head=after.revision,
            changes=tuple(_placed(compared.changes, then, now, base, head)),
            holds=compared.holds,
            invalid=errors(after.diagnostics),
            files=tuple(
                FileChange(path=path, before=_text(base, path), after=_text(head, path))
                for path in paths
                if base.texts.get(path) != head.texts.get(path)
            ),
            unchanged=compared.unchanged,
        )

    def moved(self, base: Snapshot, tip: Snapshot, preview: Preview) -> tuple[ServiceName, ...]:
        """Give the services of a preview that are another between its base and a later commit."""
        before, after = base.manifests.definitions, tip.manifests.definitions
        return tuple(
            sorted(
                change.service
                for change in preview.changes
                if _spec(before.get(change.service)) != _spec(after.get(change.service))
            )
        )

    # --- putting together ------------------------------------------------------------------

    def _checkout(self) -> Checkout:
        return locate(self._root)

    def _staging(self) -> Checkout:
        """Give the checkout with the index that a hook is told of: `git commit -a` has its own."""
        return replace(self._checkout(), index=os.environ.get("GIT_INDEX_FILE", ""))

    def _saved_revision(self, texts: Texts) -> Revision:
        """Give HEAD and what differs from it; nothing where there is no repository."""
        try:
            checkout = self._checkout()
        except NotFoundError:
            return Revision()
        head = state.head(checkout)
        manifests = {path: data for path, data in texts.items() if path != CONFIG_FILE}
        return replace(head, dirty=state.dirty_paths(checkout, head.commit, manifests))

    def _on_disk(self, paths: Iterable[str]) -> Mapping[str, str]:
        # Of a link a commit has only where it leads to.
        plain = [path for path in paths if not (self._root / path).is_symlink()]
        return Hasher(self._root)(plain)[0]

    def _in_tree(self, tree: str) -> Contents:
        """Give what finds the files of a commit; of the index, where none is named."""

        def found(paths: Iterable[str]) -> Mapping[str, str]:
            checkout = self._checkout() if tree else self._staging()
            files = revisions.read_any(checkout, tree, paths, MAX_BYTES)
            return {path: hash_of(content) for path, content in files.items()}

        return found

    def _of_files(self, found: revisions.RevisionFiles, contents: Contents) -> Snapshot:
        gathered = self._reader.read_texts(found.files)
        refused = tuple(
            FileResult(file=path, diagnostics=(unreadable(path, why),), is_broken=True)
            for path, why in sorted(found.refused.items())
        )
        whole = gathered.with_files(refused)
        return self._snapshot(whole, found.files, Revision(commit=found.commit), contents)

    def _snapshot(
        self, gathered: Gathered, texts: Texts, revision: Revision, contents: Contents
    ) -> Snapshot:
        # A commit need not hold the env files, so here they count by their names only.
        manifests = gathered.assemble(revision, with_env_files=False)
        config = gathered.config
        return Snapshot(manifests=manifests, texts=texts, config=config, contents=contents)


def _unknown(_paths: Iterable[str]) -> Mapping[str, str]:
    return {}


def _loading(base: Snapshot, head: Snapshot) -> tuple[ManifestSet, ManifestSet]:
    """Note what the files hold that services load, where both sides have them."""
    paths = loaded_files(base.manifests) | loaded_files(head.manifests)
    if not paths:
        return base.manifests, head.manifests
    before, after = base.contents(paths), head.contents(paths)
    then = {path: before[path] for path in before if path in after}
    now = {path: after[path] for path in then}
    return with_contents(base.manifests, then, {}), with_contents(head.manifests, now, {})


def _desired(manifests: ManifestSet) -> Desired:
    return settle(manifests, {})


def _following(base: ManifestSet, head: ManifestSet) -> Desired:
    """Settle a head after a base: what is broken in the head stays as the base has it."""
    before = settle(base, {})
    return settle(head, supposed(before, before).services)


def _placed(
    changes: Iterable[ServiceChange],
    then: ManifestSet,
    now: ManifestSet,
    base: Snapshot,
    head: Snapshot,
) -> Iterator[ServiceChange]:
    """Note where each change stands; what is gone is where it was."""
    places, former = Places(head.texts), Places(base.texts)
    for change in changes:
        name = change.service
        is_gone = name not in now.definitions
        defined = (then if is_gone else now).definitions.get(name)
        if defined is None:
            yield change
            continue
        where = former if is_gone else places
        fields = tuple(
            replace(item, place=where.of(name, item.path, defined.source)) for item in change.fields
        )
        yield replace(change, fields=fields, place=defined.source)


def _spec(definition: Definition | None) -> ServiceSpec | None:
    return definition.spec if definition else None


def _text(snapshot: Snapshot, path: str) -> str | None:
    data = snapshot.texts.get(path)
    return None if data is None else data.decode("utf-8", "replace")
