"""Bugs of sockets that services listen on: closed too early, or kept for nobody."""

from __future__ import annotations

from tests.sim.planting import Mutant

LISTENING = (
    Mutant(
        name="a-port-is-closed-under-the-version-that-has-it",
        module="reconciler/core/sockets.py",
        before="if occupied_by_strays or any(_is_older(record, digest) for record in occupied):",
        after="if occupied_by_strays:",
        story="A version that listens elsewhere is saved. The old port is closed, and its file"
        " removed, while the process still serves there.",
    ),
    Mutant(
        name="a-port-is-closed-while-its-service-stops",
        module="reconciler/core/sockets.py",
        before="return known if occupied or occupied_by_strays else set()",
        after="return set()",
        story="A service is stopped by its manifest. Its port is closed at once, while it still"
        " answers those who came before.",
    ),
    Mutant(
        name="ports-of-removed-services-stay-open",
        module="reconciler/core/sockets.py",
        before="for name in sorted(ledger.sockets):",
        after="for name in sorted(ledger.sockets.keys() & ledger.services.keys()):",
        story="A service is removed. Its port stays open for ever: clients connect and wait for"
        " somebody who never comes.",
    ),
    Mutant(
        name="what-a-look-shows-of-ports-is-not-believed",
        module="reconciler/core/sockets.py",
        before="if look.serial <= ledger.sockets_touched:",
        after="if ledger.host_seen:",
        story="A daemon that begins knows of no ports. Those that its predecessor had bound are"
        " never closed.",
    ),
)
