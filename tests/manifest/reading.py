"""Read manifests in tests, in one line."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.manifest.config import Config
from reconciler.manifest.parse import parse
from reconciler.manifest.resolve import assemble
from reconciler.manifest.result import FileResult
from reconciler.manifest.validate import check
from reconciler.model.desired import ManifestSet
from reconciler.model.spec import ServiceSpec

FILE = "services.d/web.yaml"


def result(text: str | bytes, file: str = FILE, config: Config | None = None) -> FileResult:
    """Read one file."""
    data = text.encode() if isinstance(text, str) else text
    return check(parse(file, data), config or Config())


def faults(text: str | bytes, file: str = FILE) -> list[str]:
    """Give a file's diagnostics as `line:column CODE`."""
    return [
        f"{found.source.line}:{found.source.column} {found.code}"
        for found in result(text, file).diagnostics
    ]


def spec(text: str | bytes, config: Config | None = None) -> ServiceSpec:
    """Give the one service of a file that must be valid."""
    read = result(text, config=config)
    assert not read.diagnostics, [str(found) for found in read.diagnostics]
    [reading] = read.readings
    return reading.definition.spec


def manifests(
    files: Mapping[str, str], env_files: Mapping[str, bytes | None] | None = None
) -> ManifestSet:
    """Read several files and put them together."""
    return assemble([result(text, file) for file, text in files.items()], env_files=env_files)


def service(name: str, more: str = "") -> str:
    """Give a small manifest."""
    return f"name: {name}\ncommand: sleep 1\n{more}"
