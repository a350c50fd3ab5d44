"""What reading a file gives: good definitions, and faults with their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.model.desired import Definition
from reconciler.model.diagnostic import Diagnostic, Source
from reconciler.model.units import ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One valid document: its definition, and the places that other files may make wrong."""

    definition: Definition
    places: Mapping[str, Source] = field(default_factory=dict)
    """`dependsOn.db`, `envFile..env`: what cross-file faults point at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileResult:
    """All that one file says, apart from what other files say."""

    file: str
    readings: tuple[Reading, ...] = ()
    invalid: Mapping[ServiceName, tuple[Diagnostic, ...]] = field(default_factory=dict)
    """Services whose document is readable and wrong."""
    seeming: tuple[ServiceName, ...] = ()
    """Names that an unreadable file seems to define."""
    diagnostics: tuple[Diagnostic, ...] = ()
    is_broken: bool = False
    """Some document cannot be told to be of any one service: what the file defined is frozen."""

    @property
    def names(self) -> tuple[ServiceName, ...]:
        """Give every service that the file defines, well or badly."""
        return (*(reading.definition.spec.name for reading in self.readings), *self.invalid)

    @property
    def faults(self) -> tuple[Diagnostic, ...]:
        """Give the diagnostics that are no warnings."""
        return tuple(found for found in self.diagnostics if not found.is_warning)
