"""Plant a bug: run the shipped source with one line of one module changed, as it is loaded.

No file is touched, and no bytecode of the changed module is read or written. A planted bug stays
for the life of the process, so each needs a fresh one. Imports nothing of what it changes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One bug that somebody could have written, and what it would have led to."""

    name: str
    """In kebab-case."""
    module: str
    """The file, relative to the repository."""
    before: str
    """Text that stands exactly once in the shipped file."""
    after: str
    """The bug that takes its place."""
    story: str
    """What people would have lived through."""

    @property
    def module_name(self) -> str:
        """Give the module's dotted name."""
        return self.module.removesuffix(".py").replace("/", ".")

    @property
    def path(self) -> Path:
        """Give the shipped file."""
        return ROOT / self.module


class CannotPlantError(Exception):
    """A bug cannot be planted; the text says why."""


def planted_text(mutant: Mutant) -> str:
    """Give the text of a module with the bug in it."""
    text = mutant.path.read_text(encoding="utf-8")
    found = text.count(mutant.before)
    if found != 1:
        raise CannotPlantError(
            f"cannot plant {mutant.name}: its text stands {found} times in {mutant.module}, "
            f"not once: {mutant.before!r}"
        )
    return text.replace(mutant.before, mutant.after)


def plant(mutant: Mutant) -> None:
    """Have the module of a bug loaded with the bug in it, from now on in this process."""
    if mutant.module_name in sys.modules:
        raise CannotPlantError(
            f"cannot plant {mutant.name}: {mutant.module_name} is imported already; "
            "plant before anything of reconciler is imported"
        )
    sys.meta_path.insert(0, _Finder(mutant.module_name, mutant.path, planted_text(mutant)))


class _Finder(MetaPathFinder):
    """Finds the one module that has a bug, and leaves all others to the usual finders."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        self._name = name
        self._loader = _Loader(name, path, text)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        return spec_from_file_location(fullname, self._loader.path, loader=self._loader)


class _Loader(SourceFileLoader):
    """Compiles the changed text, always anew: a cache would outlive the bug, or hide it."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        super().__init__(name, str(path))
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return compile(self._text, self.path, "exec", dont_inherit=True)

    def get_source(self, fullname: str) -> str:
        del fullname
        return self._text
