"""Where a field stands in its file, or what of it is left."""

from __future__ import annotations

import pytest

from reconciler.manifest.places import Places
from reconciler.model.diagnostic import Source
from reconciler.model.units import ServiceName

TEXT = b"""\
name: db
command: serve
---
name: web
command: serve
env:
  PORT: "1"
dependsOn:
- api
- db
labels: {app.name: a}
"""
DEFAULTS = b"defaults:\n  stopTimeout: 9s\n  env: {PORT: 2}\n"
FILE = "services.d/all.yaml"
WEB = Source(file=FILE, line=4, column=1)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("env.PORT", f"{FILE}:7:3"),
        ("env.GONE", f"{FILE}:6:1"),
        ("dependsOn.db.condition", f"{FILE}:10:3"),
        ('labels."app.name"', f"{FILE}:11:10"),
        ("stopTimeout", "weaver.yaml:2:3"),
        ("instances", f"{FILE}:4:1"),
    ],
)
def test_the_place_of_a_field(path: str, place: str) -> None:
    places = Places({FILE: TEXT, "weaver.yaml": DEFAULTS})
    assert str(places.of(ServiceName("web"), path, WEB)) == place


@pytest.mark.parametrize("settings", [b"", b"[", b"defaults: 3\n", b"{}"])
def test_broken_settings_are_no_place(settings: bytes) -> None:
    places = Places({FILE: b"\xff", "weaver.yaml": settings})
    assert places.of(ServiceName("web"), "stopTimeout", WEB) == WEB
