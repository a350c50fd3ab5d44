"""Say which faults the SQLite library at hand is known to have."""

from __future__ import annotations

WAL_RESET_SINCE = (3, 7, 0)
WAL_RESET_FIXED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""Releases that mend the bug; the earlier two for their own minor version only."""


def has_wal_reset_bug(version: tuple[int, ...]) -> bool:
    """Tell whether two connections may lose commits when one of them resets the log.

    >>> [has_wal_reset_bug(v) for v in ((3, 40, 1), (3, 44, 6), (3, 45, 0), (3, 51, 3))]
    [True, False, True, False]
    """
    if version < WAL_RESET_SINCE or version >= WAL_RESET_FIXED[-1]:
        return False
    return not any(version[:2] == fix[:2] and version >= fix for fix in WAL_RESET_FIXED)


def wal_reset_fact(version: tuple[int, ...]) -> str:
    """Say in a sentence what the bug means here.

    >>> wal_reset_fact((3, 51, 3))
    'SQLite 3.51.3 has no known fault that matters here'
    """
    name = ".".join(map(str, version))
    if not has_wal_reset_bug(version):
        return f"SQLite {name} has no known fault that matters here"
    return (
        f"SQLite {name} may have the WAL-reset bug; Weaver is safe, for it uses one connection, "
        "but do not write to state.db with another program while the daemon runs"
    )
