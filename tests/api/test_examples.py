"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import reconciler.api

MODULES = [
    found.name
    for found in pkgutil.walk_packages(reconciler.api.__path__, "reconciler.api.")
    if not found.ispkg
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_a_module_are_true(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0
