"""Try changes of manifests out, wherever the manifests come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.manifest.config import Config
from reconciler.manifest.intent import Intent
from reconciler.model.desired import ManifestSet, Revision
from reconciler.model.errors import NotFoundError
from reconciler.model.units import ServiceName
from reconciler.ports import Draft

Texts = Mapping[str, bytes]
EnvFiles = Mapping[str, bytes | None]


class Split(Protocol):
    """Splits a file into the services that it defines."""

    async def __call__(
        self, path: str, data: bytes, *, must_be_valid: bool
    ) -> Sequence[tuple[ServiceName, str]]:
        """Give each service with the text of its document. Raises ManifestError."""
        ...


class Gathered(Protocol):
    """What all files say, before it is put together."""

    @property
    def config(self) -> Config:
        """Give the settings of weaver.yaml."""
        ...

    @property
    def env_files(self) -> EnvFiles:
        """Give the contents of env files."""
        ...

    def assemble(self, revision: Revision) -> ManifestSet:
        """Put everything together."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pens:
    """What manifests are read and changed with, on trial."""

    texts: Callable[[], Awaitable[Texts]]
    """Gives every manifest as it is now, and weaver.yaml."""
    read: Callable[[Texts], Awaitable[ManifestSet]]
    """Reads changed texts as those that are followed are read."""
    replay: Callable[[Texts, Sequence[Intent]], Awaitable[Mapping[str, bytes | None]]]
    split: Split


class Drafting:
    """Implements `Drafts`."""

    def __init__(self, pens: Pens) -> None:
        self._pens = pens

    async def draft(self, intents: Sequence[Intent]) -> Draft:
        """Give what the intents would make of the manifests."""
        found = await self._pens.texts()
        changed = await self._pens.replay(found, intents)
        after = {path: data for path, data in {**found, **changed}.items() if data is not None}
        return Draft(
            manifests=await self._pens.read(after),
            files={
                path: (_text(found.get(path)), _text(data))
                for path, data in changed.items()
                if found.get(path) != data
            },
        )

    async def documents(self, text: str, path: str) -> Sequence[tuple[ServiceName, str]]:
        """Split a file to apply into its services."""
        data = text.encode("utf-8", "surrogatepass")
        return await self._pens.split(path or "-", data, must_be_valid=True)

    async def document(self, path: str, service: ServiceName) -> str:
        """Give the text of a service's document."""
        found = await self._pens.texts()
        if path not in found:
            raise NotFoundError(f"cannot find {path}, which defined {service}")
        for name, text in await self._pens.split(path, found[path], must_be_valid=False):
            if name == service:
                return text
        raise NotFoundError(f"cannot find {service} in {path}")


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "replace")
