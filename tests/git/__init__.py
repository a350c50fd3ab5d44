"""Tests of reading the repository and writing back to it, all with real git."""
