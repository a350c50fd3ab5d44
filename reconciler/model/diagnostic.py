"""Say what is wrong with a file: where, what, and the mend."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Source:
    """A place in a file, lines and columns counted from 1; the file relative to the repository."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Diagnostic:
    """One fault of one manifest."""

    source: Source
    code: str
    message: str
    mend: str = ""
    is_warning: bool = False

    def below(self, prefix: str) -> Diagnostic:
        """Give the fault with its file as it is called from above the repository's folder."""
        return replace(self, source=replace(self.source, file=prefix + self.source.file))

    def __str__(self) -> str:
        kind = "warning: " if self.is_warning else ""
        mend = f"\n    mend: {self.mend}" if self.mend else ""
        return f"{self.source}: {self.code} {kind}{self.message}{mend}"
