"""Make the record's tables, and bring those of an older version up to date.

This file is a program of its own: `python -I schema.py state.db`. It imports nothing of Weaver,
and sqlite-utils only when it runs, so that the 7 MB and 100 ms which that costs are paid by a
child process, once per change of the schema, and never by the daemon.
"""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

VERSION = 1
"""What `PRAGMA user_version` says of an up-to-date database: the number of migrations."""

TABLES = frozenset(
    {"services", "dependencies", "state_history", "operations", "events", "slots", "meta"}
)


def migrations() -> Migrations:
    """Give every step from an empty database to this version, in order."""
    from sqlite_utils import Migrations

    steps = Migrations("weaver")
    steps(name="0001_record")(_make_tables)
    return steps


def migrate(path: str) -> None:
    """Apply the missing steps; each is one transaction, so a crash leaves a version, not a mix."""
    from sqlite_utils import Database

    connection = sqlite3.connect(path, timeout=5.0)
    try:
        database = Database(connection)
        database.enable_wal()
        migrations().apply(database)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.commit()
    finally:
        connection.close()


def _make_tables(database: Database) -> None:
    _make_registry(database)
    _make_journal(database)


def _make_registry(database: Database) -> None:
    """Make what is known of services now."""
    database.table("services").create(
        {
            "id": int,
            "name": str,
            "config": str,
            "state": str,
            "created_at": float,
            "updated_at": float,
            "forgotten_at": float,
        },
        pk="id",
        not_null={"name", "config", "state", "created_at", "updated_at"},
    ).create_index(["name"], unique=True)
    database.table("dependencies").create(
        {"service_id": int, "depends_on": str, "created_at": float},
        pk=("service_id", "depends_on"),
        not_null={"created_at"},
        foreign_keys=[("service_id", "services", "id")],
    )
    database.table("slots").create(
        {"service_id": int, "slot": int, "boot": str, "memory": str, "state": str},
        pk=("service_id", "slot"),
        foreign_keys=[("service_id", "services", "id")],
    )
    database.table("meta").create({"key": str, "value": str}, pk="key", not_null={"value"})


def _make_journal(database: Database) -> None:
    """Make what is written line by line and never changed, but for the answers to commands."""
    database.table("state_history").create(
        {
            "id": int,
            "service_id": int,
            "slot": int,
            "from_state": str,
            "to_state": str,
            "reason": str,
            "actor": str,
            "revision": str,
            "spec_digest": str,
            "timestamp": float,
        },
        pk="id",
        not_null={"service_id", "slot", "from_state", "to_state", "timestamp"},
        foreign_keys=[("service_id", "services", "id")],
    ).create_index(["service_id", "id"])
    database.table("operations").create(
        {
            "id": int,
            "life": int,
            "serial": int,
            "kind": str,
            "service": str,
            "slot": int,
            "run": str,
            "because": str,
            "state": str,
            "answer": str,
            "boot": str,
            "issued_boottime": int,
            "issued_at": float,
            "answered_boottime": int,
            "answered_at": float,
        },
        pk="id",
        not_null={"life", "serial", "kind", "state", "boot", "issued_boottime", "issued_at"},
    ).create_index(["life", "serial"], unique=True)
    database.table("events").create(
        {
            "seq": int,
            "time": float,
            "kind": str,
            "service": str,
            "instance": str,
            "reason": str,
            "revision": str,
            "actor": str,
            "data": str,
        },
        pk="seq",
        not_null={"time", "kind", "service", "instance", "data"},
    ).create_index(["service", "seq"])


def main(arguments: list[str]) -> int:
    """Migrate the database that is named; say on stderr, in one line, why it cannot be done."""
    try:
        migrate(arguments[0])
    except (sqlite3.Error, OSError, ImportError) as error:
        print(error, file=sys.stderr)  # noqa: T201 (the parent reads this line)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
