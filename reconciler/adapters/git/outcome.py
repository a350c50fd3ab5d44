"""Work out what a change makes of each layer, and what the person must be told. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from reconciler.adapters.git.edits import Changes, Edit, Edited
from reconciler.adapters.git.layers import Layers
from reconciler.manifest.naming import FOLDER, is_manifest
from reconciler.model.units import ServiceName
from reconciler.ports import ConflictError, ManifestError, NotFoundError

NOT_COMMITTED_NOTE = (
    "git.autoCommit is off: {files} is written and not committed; "
    "mend: git add and git commit it when you are ready"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A text of the person's that is replaced whole and was never committed."""

    path: str
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """New texts for each layer."""

    committed: Changes
    staged: Changes
    saved: Changes
    kept: tuple[Kept, ...]
    notes: tuple[str, ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Name every file that changes in the commit or in the work tree."""
        return tuple(sorted(self.committed.keys() | self.saved.keys()))


def work_out(layers: Layers, edit: Edit) -> Outcome:
    """Make the change to all three layers, each as it is. Raises where none of them can take it.

    A layer that says what the commit says needs no second look: it gets the commit's new text.
    """
    committed = edit.on({**layers.linked, **layers.committed})
    _refuse_links(layers, committed.changes)
    same_staged = layers.staged == layers.committed
    same_saved = layers.saved == layers.committed
    staged = committed if same_staged else edit.on(layers.staged)
    saved = committed if same_saved else edit.on(layers.saved)
    for layer in (committed, staged, saved):
        _refuse_strange_paths(layer.changes)
    for service, why in committed.failed.items():
        if service in saved.failed:
            raise why
    return Outcome(
        committed=committed.changes,
        staged=staged.changes,
        saved=saved.changes,
        kept=_kept(layers, edit, staged.changes.keys() | saved.changes.keys()),
        notes=(
            *_left_notes(edit, committed),
            *_notes(_without_gone(edit, staged), _without_gone(edit, saved), committed.failed),
            *_news(committed, saved),
        ),
    )


def work_out_saved(layers: Layers, edit: Edit) -> Outcome:
    """Make the change to the saved files alone, as `git.autoCommit: false` asks."""
    saved = edit.on(layers.saved)
    for why in saved.failed.values():
        raise why
    _refuse_strange_paths(saved.changes)
    files = ", ".join(sorted(saved.changes))
    return Outcome(
        committed={},
        staged={},
        saved=saved.changes,
        kept=_kept(layers, edit, saved.changes.keys()),
        notes=(NOT_COMMITTED_NOTE.format(files=files),) if files else (),
    )


def _refuse_links(layers: Layers, changes: Changes) -> None:
    for path in sorted(changes.keys() & layers.linked.keys()):
        raise ConflictError(
            f"cannot change {path}: it is a link", mend="change the file that it leads to"
        )


def _refuse_strange_paths(changes: Changes) -> None:
    """Refuse to write what nobody would read as a manifest, `services.d/../x.yaml` above all."""
    for path in sorted(changes):
        if not is_manifest(path):
            raise ManifestError(
                f"cannot write {path}: it is no place for a manifest",
                mend=f"manifests are {FOLDER}/**/*.yaml, .yml and .json",
            )


def _kept(layers: Layers, edit: Edit, paths: Collection[str]) -> tuple[Kept, ...]:
    """Give the texts that would be lost where a change does not build on what it finds."""
    if not edit.replaces_text:
        return ()
    return tuple(
        Kept(path=path, text=text)
        for path in sorted(paths)
        for text in {layers.staged.get(path): None, layers.saved.get(path): None}
        if text is not None and not _is_same(text, layers.committed.get(path))
    )


def _is_same(text: bytes, committed: bytes | None) -> bool:
    """Compare but for line ends, which a checkout may have changed."""
    return committed is not None and text.replace(b"\r\n", b"\n") == committed.replace(
        b"\r\n", b"\n"
    )


def _without_gone(edit: Edit, layer: Edited) -> Edited:
    """Forget failures to remove what is not there: that is done already."""
    failed = {
        service: why
        for service, why in layer.failed.items()
        if service not in edit.removed or not isinstance(why, NotFoundError)
    }
    return replace(layer, failed=failed)


def _left_notes(edit: Edit, committed: Edited) -> Iterator[str]:
    """Say of each service why nothing about it is committed."""
    for service, why in committed.failed.items():
        if not isinstance(why, NotFoundError):
            yield f"{service} is changed in the saved files only, not committed: {why}"
        elif service in edit.removed:
            yield f"{service} is removed from the saved files; the last commit does not have it"
        else:
            yield f"{service} is changed in the saved files only: the last commit does not have it"


def _notes(staged: Edited, saved: Edited, not_committed: Collection[ServiceName]) -> Iterator[str]:
    """Say of each service that was committed where else it could not be changed."""
    for service, why in saved.failed.items():
        yield f"{service} is committed, but your saved files were left as they are: {why}"
    for service, why in staged.failed.items():
        if service not in not_committed and service not in saved.failed:
            yield f"{service} is committed, but what you staged was left as it is: {why}"


def _news(committed: Edited, saved: Edited) -> Iterator[str]:
    """Say that a change that was committed before reaches the saved files only now."""
    if saved.changes and not committed.changes and not committed.failed:
        files = ", ".join(sorted(saved.changes))
        yield f"the commit had this already; your saved {files} has it now too"
