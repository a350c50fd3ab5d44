"""Take back what one commit did to some services, in texts that may have changed since.

A file that still says what the commit made of it says again what it said before, byte for byte.
In one that has other edits since, only the commit's lines go back. Where that cannot be told
apart, a document nobody else touched is put back whole, and one that somebody did is left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from reconciler.adapters.git.documents import document_of, documents_of, is_readable
from reconciler.adapters.git.edits import Edited, IntentEdit, after, differing
from reconciler.adapters.git.threeway import apply_step
from reconciler.manifest.intent import Intent, PutService, RemoveService
from reconciler.model.units import ServiceName
from reconciler.ports import ConflictError, WeaverError

Texts = Mapping[str, bytes | None]
"""The files that a commit touched; None where there was none."""
Documents = Mapping[ServiceName, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertEdit:
    """Taking back the step from `made` to `before`."""

    before: Texts
    made: Texts

    @property
    def replaces_text(self) -> bool:
        """Tell that no text is taken away that somebody wrote since."""
        return False

    @property
    def removed(self) -> Collection[ServiceName]:
        """Name the services that the commit had brought."""
        return _documents(self.made).keys() - _documents(self.before).keys()

    @property
    def services(self) -> tuple[ServiceName, ...]:
        """Name the services whose documents the commit changed."""
        old, new = _documents(self.before), _documents(self.made)
        return tuple(sorted(name for name in old | new if old.get(name) != new.get(name)))

    def on(self, files: Mapping[str, bytes]) -> Edited:
        """Take it back in these files."""
        changes: dict[str, bytes | None] = {}
        left: list[str] = []
        for path, made in self.made.items():
            before, now = self.before[path], files.get(path)
            if now == made:
                changes[path] = before
            elif (merged := self._merged(path, now)) is not None:
                changes[path] = merged
            else:
                left.append(path)
        put_back = self._put_back(after(files, changes), left)
        return Edited(
            changes=differing(files, {**changes, **put_back.changes}), failed=put_back.failed
        )

    def _merged(self, path: str, now: bytes | None) -> bytes | None:
        """Take back only the commit's lines; None where they cannot be told from other edits."""
        before, made = self.before[path], self.made[path]
        if now is None or before is None or made is None:
            return None
        merged = apply_step(now, made, before)
        if merged is None or not is_readable(path, merged):
            return None
        steps = (_documents({path: text}) for text in (before, made, now, merged))
        return merged if _is_faithful(*steps) else None

    def _put_back(self, files: Mapping[str, bytes], left: list[str]) -> Edited:
        old = _documents({path: self.before[path] for path in left})
        new = _documents({path: self.made[path] for path in left})
        intents: list[Intent] = []
        failed: dict[ServiceName, WeaverError] = {}
        for service in sorted(name for name in old | new if old.get(name) != new.get(name)):
            if document_of(files, service) != new.get(service):
                failed[service] = ConflictError("other edits overlap with what is undone")
            elif service in old:
                intents.append(PutService(service=service, text=old[service]))
            else:
                intents.append(RemoveService(service=service))
        edited = IntentEdit(intents=tuple(intents)).on(files) if intents else Edited()
        return Edited(changes=edited.changes, failed={**edited.failed, **failed})


def _is_faithful(before: Documents, made: Documents, now: Documents, merged: Documents) -> bool:
    """Tell whether a text without the commit's lines means what it should, service by service."""
    for service in before.keys() | made.keys() | now.keys() | merged.keys():
        if before.get(service) == made.get(service):
            expected = now.get(service)
        elif now.get(service) == made.get(service):
            expected = before.get(service)
        else:
            continue
        if merged.get(service) != expected:
            return False
    return True


def _documents(texts: Texts) -> dict[ServiceName, str]:
    found: dict[ServiceName, str] = {}
    for path, data in texts.items():
        if data is not None:
            found |= documents_of(path, data)
    return found
