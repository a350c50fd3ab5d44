"""Bound what one file may cost, whoever wrote it. Checked before anything is composed."""

from __future__ import annotations

MAX_FILE_BYTES = 1 << 20
"""Of one manifest. Larger files are refused by their size, before they are read."""

MAX_DEPTH = 64
"""Of collections in collections."""

MAX_NODES = 50_000
"""Scalars and collections of one file, keys included."""

MAX_FAULTS = 100
"""Diagnostics of one file; what comes after them is counted, not listed."""

MAX_DIGITS = 18
"""Of an integer: what every program that reads it can hold."""

MAX_SLOW_BYTES = 1 << 16
"""Of a file that only the slow parser in Python can read (see events.py)."""

MAX_STRING_BYTES = (1 << 17) - 1
"""Of one word or `KEY=value`: what Linux passes to a program (MAX_ARG_STRLEN)."""

MAX_ENV_FILE_BYTES = 1 << 20
"""Of one file named by `envFile`."""

MAX_FOREIGN_WARNINGS = 5
"""Files in services.d that are no manifests: these many are named, the others counted."""

MAX_FILES = 50_000
"""Manifests of one repository."""

MAX_ENTRIES = 500_000
"""Entries of services.d that are looked at, manifests or not."""
