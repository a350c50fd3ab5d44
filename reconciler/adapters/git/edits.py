"""Apply one change to one layer of texts: the commit's, the index's, or the saved one.

The layers may differ, so a change that works on one may have nothing to hold on to in another: the
service was removed there, or its text is broken. That is told by service, and no reason to refuse
the others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.manifest import edit
from reconciler.manifest.intent import Intent, PutService, RemoveService
from reconciler.model.units import ServiceName
from reconciler.ports import CommitRequest, Committed, WeaverError

Changes = Mapping[str, bytes | None]
"""Path to new text, None where the file goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """What a change makes of one layer."""

    changes: Changes = field(default_factory=dict)
    failed: Mapping[ServiceName, WeaverError] = field(default_factory=dict)
    """Services that could not be changed in this layer, and why."""


class Edit(Protocol):
    """A change that can be made to any layer."""

    @property
    def replaces_text(self) -> bool:
        """Tell whether it may take away text that it does not know."""
        ...

    @property
    def removed(self) -> Collection[ServiceName]:
        """Name the services that are to be gone: where one is missing, it is done already."""
        ...

    def on(self, files: Mapping[str, bytes]) -> Edited:
        """Make the change to these files."""
        ...


class Write(Protocol):
    """Writes a change back as one commit, wherever that goes."""

    def __call__(
        self, request: CommitRequest, edit: Edit, trailers: Sequence[tuple[str, str]] = ()
    ) -> Committed:
        """Write it, with trailers besides the usual ones. Raises WeaverError with the mend."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentEdit:
    """The change that a person asked for, as intents."""

    intents: tuple[Intent, ...]

    @property
    def replaces_text(self) -> bool:
        """Tell whether whole documents are replaced or removed."""
        return any(isinstance(intent, PutService | RemoveService) for intent in self.intents)

    @property
    def removed(self) -> Collection[ServiceName]:
        """Name the services that are to be gone."""
        return {intent.service for intent in self.intents if isinstance(intent, RemoveService)}

    def on(self, files: Mapping[str, bytes]) -> Edited:
        """Replay all intents, or where that fails those of each service by themselves."""
        try:
            return Edited(changes=differing(files, edit.replay(files, self.intents)))
        except WeaverError as failure:
            groups = _by_service(self.intents)
            if len(groups) == 1:
                return Edited(failed=dict.fromkeys(groups, failure))
        return self._one_by_one(files, groups)

    def _one_by_one(
        self, files: Mapping[str, bytes], groups: Mapping[ServiceName, Sequence[Intent]]
    ) -> Edited:
        now = dict(files)
        changes: dict[str, bytes | None] = {}
        failed: dict[ServiceName, WeaverError] = {}
        for service, intents in groups.items():
            try:
                step = edit.replay(now, intents)
            except WeaverError as failure:
                failed[service] = failure
                continue
            changes |= step
            now = after(now, step)
        return Edited(changes=differing(files, changes), failed=failed)


def _by_service(intents: Sequence[Intent]) -> dict[ServiceName, list[Intent]]:
    groups: dict[ServiceName, list[Intent]] = {}
    for intent in intents:
        groups.setdefault(intent.service, []).append(intent)
    return groups


def differing(files: Mapping[str, bytes], changes: Changes) -> Changes:
    """Leave out what is as it was: equal text is no change."""
    return {path: data for path, data in changes.items() if files.get(path) != data}


def after(files: Mapping[str, bytes], changes: Changes) -> dict[str, bytes]:
    """Give the files as the changes leave them."""
    merged = {**files, **changes}
    return {path: data for path, data in merged.items() if data is not None}
