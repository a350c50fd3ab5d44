"""Check manifests wherever they are: a repository's, a directory's, or single files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reconciler import app
from reconciler.cli import exits
from reconciler.cli.errors import CommandError
from reconciler.manifest.config import CONFIG_FILE, Config
from reconciler.manifest.naming import FOLDER
from reconciler.manifest.read import read_config, read_manifest
from reconciler.manifest.resolve import assemble
from reconciler.model.desired import ManifestSet
from reconciler.model.diagnostic import Diagnostic

SUFFIXES = frozenset({".yaml", ".yml", ".json"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was checked, and what is wrong with it."""

    files: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    """Services that are defined well enough to have a name, and the file of each."""
    diagnostics: tuple[Diagnostic, ...] = ()
    told_elsewhere: tuple[Diagnostic, ...] = ()
    """What makes services invalid and is told where another file has a part in it: a cycle."""

    @property
    def services(self) -> tuple[str, ...]:
        """Give the names of all services, in order."""
        return tuple(sorted(self.places))


def _checked(found: ManifestSet) -> Checked:
    """Give what a set of manifests says."""
    places: dict[str, str] = {name: good.source.file for name, good in found.definitions.items()}
    places |= {name: faults[0].source.file for name, faults in found.invalid.items()}
    invalid = {fault for faults in found.invalid.values() for fault in faults}
    return Checked(
        files=found.files,
        places=places,
        diagnostics=found.diagnostics,
        told_elsewhere=tuple(sorted(invalid.difference(found.diagnostics))),
    )


def check_repository(root: Path) -> Checked:
    """Check everything that a repository has saved."""
    return _checked(app.open_offline(root).saved().manifests)


def check_paths(root: Path, paths: Sequence[Path]) -> Checked:
    """Check the files, directories and repositories that were named."""
    parts = [_check_path(root, path) for path in paths]
    return Checked(
        files=tuple(file for part in parts for file in part.files),
        places={name: file for part in parts for name, file in part.places.items()},
        diagnostics=tuple(dict.fromkeys(fault for part in parts for fault in part.diagnostics)),
    )


def manifests_in(folder: Path) -> list[Path]:
    """Give the manifests in a directory, hidden ones and those in hidden directories left out."""
    return sorted(
        file
        for file in folder.rglob("*")
        if file.suffix in SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def _check_path(root: Path, path: Path) -> Checked:
    """Check one path."""
    if not path.exists():
        raise CommandError(
            f"cannot check {path}: no such file or directory",
            mend="name a manifest",
            code=exits.NOT_FOUND,
        )
    if (path / FOLDER).is_dir():
        return check_repository(path)
    whole = path.resolve()
    if whole.is_relative_to(root / FOLDER) or whole == root / CONFIG_FILE:
        return _part_of(check_repository(root), whole.relative_to(root).as_posix())
    if whole.is_dir():
        return _check_directory(path)
    return _check_file(path)


def _part_of(checked: Checked, place: str) -> Checked:
    """Give what concerns one file or folder of a repository."""

    def is_inside(file: str) -> bool:
        return file == place or file.startswith(f"{place}/")

    told = [fault for fault in checked.diagnostics if is_inside(fault.source.file)]
    codes = {fault.code for fault in told}
    told += [
        fault
        for fault in checked.told_elsewhere
        if is_inside(fault.source.file) and fault.code not in codes
    ]
    return Checked(
        files=tuple(file for file in checked.files if is_inside(file)),
        places={name: file for name, file in checked.places.items() if is_inside(file)},
        diagnostics=tuple(sorted(told)),
    )


def _check_directory(path: Path) -> Checked:
    """Check manifests that are in no repository, as a whole."""
    files = manifests_in(path)
    return _checked(
        assemble(read_manifest(str(file), file.read_bytes(), Config()) for file in files)
    )


def _check_file(path: Path) -> Checked:
    """Check one file by itself: what it needs may well be defined elsewhere."""
    name = os.fspath(path)
    if path.name == CONFIG_FILE:
        settings = read_config(name, path.read_bytes())
        return Checked(files=(name,), diagnostics=settings.diagnostics)
    found = read_manifest(name, path.read_bytes(), Config())
    places: dict[str, str] = dict.fromkeys(found.names, name)
    return Checked(files=(name,), places=places, diagnostics=found.diagnostics)
