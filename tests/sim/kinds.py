"""Every deed there is, by name; each is plain data that can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.sim.drawing import Kind
from tests.sim.faults import FAULTS
from tests.sim.overlays import OVERLAYS
from tests.sim.rolls import ROLLS
from tests.sim.saves import SAVES
from tests.sim.traps import TRAPS
from tests.sim.world import World

KINDS: Mapping[str, Kind] = {**FAULTS, **SAVES, **TRAPS, **ROLLS, **OVERLAYS}
"""`weight` says how often a kind is chosen beside the others."""
MAKERS = ("add", "apply", "lay-over-new", "save-all")
"""Deeds that make services up, and may be told what these are to be without."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing that is done to a world."""

    kind: str
    args: tuple[Any, ...] = ()

    def __call__(self, world: World) -> None:
        KINDS[self.kind].act(world, *self.args)

    def __repr__(self) -> str:
        return f"Deed({self.kind!r}, {self.args!r})" if self.args else f"Deed({self.kind!r})"
