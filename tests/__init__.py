"""Weaver's tests."""
