"""Keep the record small: what is too old goes, a little at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

EVENTS_KEPT = 50_000
OPERATIONS_KEPT = 20_000
HISTORY_KEPT = 1_000
"""State changes of each service, so that one that crashes all day pushes out no other's."""

FORGOTTEN_KEPT = 1_000
"""Services that are no longer wanted, with their history."""

ROWS_A_TRIM = 5_000
"""The most rows one trim deletes of each table, so that no write waits long for it."""

SERVICES_A_TRIM = 50
"""The most services whose history one trim cuts."""


def trim(connection: sqlite3.Connection, changed: Sequence[str]) -> None:
    """Delete what is beyond the limits, inside a transaction of the caller.

    `changed` names the services whose history has grown, the most changed first.
    """
    _trim_by_key(connection, "events", "seq", EVENTS_KEPT)
    _trim_by_key(connection, "operations", "id", OPERATIONS_KEPT)
    _trim_history(connection, changed[:SERVICES_A_TRIM])
    _trim_forgotten(connection)


def _trim_by_key(connection: sqlite3.Connection, table: str, key: str, kept: int) -> None:
    """Delete the oldest rows of a table whose key only grows, without gaps to speak of."""
    oldest, newest = connection.execute(
        f"SELECT min({key}), max({key}) FROM {table}"  # noqa: S608 (fixed names)
    ).fetchone()
    if newest is None or newest - oldest < kept:
        return
    last = min(newest - kept, oldest + ROWS_A_TRIM)
    connection.execute(f"DELETE FROM {table} WHERE {key} <= ?", (last,))  # noqa: S608 (fixed names)


def _trim_history(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    for name in names:
        connection.execute(
            "DELETE FROM state_history WHERE id IN (SELECT h.id FROM state_history h"
            " JOIN services s ON s.id = h.service_id WHERE s.name = ?"
            " ORDER BY h.id DESC LIMIT ? OFFSET ?)",
            (name, ROWS_A_TRIM, HISTORY_KEPT),
        )


def _trim_forgotten(connection: sqlite3.Connection) -> None:
    old = connection.execute(
        "SELECT id FROM services WHERE forgotten_at IS NOT NULL"
        " ORDER BY forgotten_at DESC LIMIT ? OFFSET ?",
        (SERVICES_A_TRIM, FORGOTTEN_KEPT),
    ).fetchall()
    for key in old:
        for table in ("state_history", "slots", "dependencies"):
            connection.execute(f"DELETE FROM {table} WHERE service_id = ?", key)  # noqa: S608 (fixed)
        connection.execute("DELETE FROM services WHERE id = ?", key)
