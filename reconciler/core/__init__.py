"""The verbs: pure functions that decide, without clock, luck, files or libraries."""
