"""Everything that was read at one moment, before it is put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from reconciler.manifest.config import Config
from reconciler.manifest.resolve import assemble
from reconciler.manifest.result import FileResult
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.diagnostic import Diagnostic

_NO_REVISION = Revision()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What all files say, each by itself."""

    files: tuple[FileResult, ...] = ()
    config: Config = field(default_factory=Config)
    env_files: Mapping[str, bytes | None] = field(default_factory=dict)
    also: tuple[Diagnostic, ...] = ()
    """About files that are no manifests: weaver.yaml, and those that do not belong here."""

    def with_files(self, files: Iterable[FileResult]) -> Gathered:
        """Add files, such as those that cannot be read."""
        return replace(self, files=(*self.files, *files))

    def assemble(
        self, revision: Revision = _NO_REVISION, *, with_env_files: bool = True
    ) -> ManifestSet:
        """Put everything together.

        Without env files they count by their names only: so two revisions can be compared, of
        which one or both do not hold them.
        """
        contents = self.env_files if with_env_files else {}
        return assemble(self.files, revision, env_files=contents, also=self.also)


def env_paths(files: Iterable[FileResult]) -> frozenset[str]:
    """Give the env files that any service names."""
    return frozenset(
        path
        for result in files
        for reading in result.readings
        for path in reading.definition.spec.env_file
    )
