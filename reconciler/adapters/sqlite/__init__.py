"""The record in SQLite: what happened, and what must be known after a restart of the daemon."""
