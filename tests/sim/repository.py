"""A simulated repository: manifests as text, edited by people and by Weaver, read by the real code.

People save whatever they like; what Weaver writes back is replayed on the text that it finds when
its turn comes, so that a commit which lost its race undoes nobody's work.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from reconciler.manifest.config import Config
from reconciler.manifest.edit import replay
from reconciler.manifest.intent import Intent
from reconciler.manifest.read import read_manifest
from reconciler.manifest.resolve import assemble
from reconciler.manifest.result import FileResult
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.errors import WeaverError
from reconciler.runtime.choosing import with_contents

Document = Mapping[str, Any]
_SETTINGS = Config()
NOTHING: Mapping[str, bytes | None] = MappingProxyType({})


class Repository:
    """The folder of manifests, and how often it was changed."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.commits = 0
        self.is_held = False
        """Whether a rebase is in progress, so that nothing here can be trusted."""
        self.contents: dict[str, str] = {}
        """What the files hold that services load."""
        self._whole: dict[str, bytes] = {}
        """What broken files were before, by path."""

    def read(self, drafted: Mapping[str, bytes | None] = NOTHING) -> ManifestSet:
        """Read everything as it is saved now, or would be with what is drafted."""
        files = {**self.files, **drafted} if drafted else self.files
        results = [
            read_file(path, data) for path, data in sorted(files.items()) if data is not None
        ]
        found = assemble(results, Revision(commit=f"{self.commits:040x}", branch="main"))
        return with_contents(found, self.contents, {})

    @property
    def names(self) -> list[str]:
        """Give the services that some readable file defines."""
        return [str(name) for name in self.read().definitions]

    # --- what people do --------------------------------------------------------------------

    def save(self, documents: Iterable[Document]) -> None:
        """Have exactly these services, each in a file of its own."""
        self.files = {path_of(one["name"]): text_of(one) for one in documents}
        self._whole.clear()
        self.commits += 1

    def put(self, document: Document) -> None:
        """Save one service, whatever its file was before."""
        path = path_of(document["name"])
        self.files[path] = text_of(document)
        self._whole.pop(path, None)
        self.commits += 1

    def set_line(self, service: str, key: str, value: Any) -> bool:
        """Change, add or drop (None) one line of a service's file, as an editor would."""
        path = path_of(service)
        line = b"" if value is None else text_of({key: value})
        if path not in self.files:
            return False
        lines = self.files[path].splitlines(keepends=True)
        kept = [old for old in lines if not old.startswith(f"{key}:".encode())]
        return self._change({path: b"".join([*kept, line])})

    def remove(self, service: str) -> bool:
        """Delete the file of a service."""
        return self._change({path_of(service): None})

    def break_file(self, service: str, garbage: bytes) -> bool:
        """Spoil a file: what is added is no YAML, or no key of a service."""
        path = path_of(service)
        if path not in self.files:
            return False
        self._whole.setdefault(path, self.files[path])
        self.files[path] += garbage
        self.commits += 1
        return True

    def garble_file(self, which: int, garbage: bytes) -> bool:
        """Put garbage in the place of one of the files."""
        if not self.files:
            return False
        path = sorted(self.files)[which % len(self.files)]
        self._whole.setdefault(path, self.files[path])
        self.files[path] = garbage
        self.commits += 1
        return True

    def mend(self) -> None:
        """Let every spoilt file be as it was before, and nothing be held."""
        self.files |= {path: text for path, text in self._whole.items() if path in self.files}
        self._whole.clear()
        self.is_held = False
        self.commits += 1

    def move(self, service: str, to: str) -> bool:
        """Rename the file of a service; what it says stays the same."""
        text = self.files.get(path_of(service))
        return text is not None and self._change({path_of(service): None, to: text})

    def copy(self, service: str, to: str) -> bool:
        """Copy the file of a service, so that it is defined twice."""
        text = self.files.get(path_of(service))
        return text is not None and self._change({to: text})

    def rename(self, service: str, to: str) -> bool:
        """Give a service another name, in another file; who needs it is not told."""
        text = self.files.get(path_of(service))
        if text is None or path_of(to) in self.files:
            return False
        renamed = text.replace(b'name: "%b"' % service.encode(), b'name: "%b"' % to.encode())
        return self._change({path_of(service): None, path_of(to): renamed})

    def _change(self, files: Mapping[str, bytes | None]) -> bool:
        if all(self.files.get(path) == text for path, text in files.items()):
            return False
        for path, text in files.items():
            self._whole.pop(path, None)
            if text is None:
                self.files.pop(path, None)
            else:
                self.files[path] = text
        self.commits += 1
        return True

    # --- what Weaver writes back -----------------------------------------------------------

    def draft(self, intents: Iterable[Intent]) -> dict[str, bytes | None] | None:
        """Give what the intents make of the present text; None where it cannot be done."""
        try:
            return replay(self.files, intents)
        except WeaverError:
            return None

    def commit(self, drafted: Mapping[str, bytes | None]) -> bool:
        """Write what was drafted; the caller saw to it that nobody was faster."""
        return self._change(drafted)


@functools.lru_cache(maxsize=20_000)
def read_file(path: str, data: bytes) -> FileResult:
    """Read one file by the real reader, once."""
    return read_manifest(path, data, _SETTINGS)


def path_of(service: str) -> str:
    """Give where a service's manifest is saved, as a rule."""
    return f"services.d/{service}.yaml"


def text_of(document: Document) -> bytes:
    """Give a manifest as text: one key a line, values as JSON, which is YAML too."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in document.items()).encode()


def yaml_of(value: Any) -> str:
    """Give a value of a manifest as text."""
    return text_of({"x": value}).decode()[3:-1]
