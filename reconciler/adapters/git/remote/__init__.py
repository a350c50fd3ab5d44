"""A repository that is elsewhere: where it is, how it is talked to, and our mirror of it."""
