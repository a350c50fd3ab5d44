"""The examples in the docstrings of the core run, and say what they promise."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from reconciler import core

MODULES = [found.name for found in pkgutil.iter_modules(core.__path__, "reconciler.core.")]


@pytest.mark.parametrize("module", MODULES)
def test_examples_say_what_happens(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_there_are_examples() -> None:
    found = [doctest.DocTestFinder().find(importlib.import_module(module)) for module in MODULES]
    assert sum(bool(test.examples) for tests in found for test in tests) >= 10
