"""Tests of manifests as text."""
