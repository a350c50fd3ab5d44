"""The exit codes, and what each of them means."""

from __future__ import annotations

OK = 0
FAILED = 1
CHANGES = 1
USAGE = 2
FORBIDDEN = 3
PARTIAL = 4
BLOCKED = 5
NOT_FOUND = 6
UNMET = 7
CANCELLED = 8
TIMED_OUT = 9
CONFLICT = 10
NO_DAEMON = 11
INTERNAL = 255

MEANINGS = {
    0: "done, or nothing to do",
    1: "generic failure; for `diff`: there are changes",
    2: "usage, or an invalid manifest",
    3: "not allowed",
    4: "an operation failed, or was partial",
    5: "blocked by a guard or a policy",
    6: "not found",
    7: "expectation not met (`wait`, `status --check`)",
    8: "cancelled",
    9: "timed out",
    10: "conflict: somebody else was first",
    11: "no daemon reachable",
    255: "internal error: a bug in weaver",
}


NOTES = (
    "`diff`: 0 no changes, 1 changes, 2 an invalid manifest, 5 a guard holds it;",
    "else trouble. With --exit-code=false changes give 0; with",
    "--detailed-exitcode 0 no changes, 1 trouble, 2 changes.",
)


def table() -> str:
    """Give the exit codes as `weaver help exit-codes` shows them."""
    lines = [f"{code:>5}  {meaning}" for code, meaning in MEANINGS.items()]
    return "\n".join(["Exit codes", *lines, "", *NOTES])
