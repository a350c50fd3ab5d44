"""Bugs about what is wanted for a while: it is drift, it ends by itself, no death loses it."""

from __future__ import annotations

from tests.sim.planting import Mutant

ENDING = (
    Mutant(
        name="the-end-of-a-while-is-slept-through",
        module="reconciler/core/passing.py",
        before="    yield from (one.ends_at for one in ledger.overlays.values())\n",
        after="",
        story="What was applied for ten minutes goes on until the next look, or the next morning.",
    ),
    Mutant(
        name="a-while-has-no-end",
        module="reconciler/core/overlay.py",
        before="    if one.ends_at <= now:\n",
        after="    if one.ends_at <= 0:\n",
        story="A log level that was raised to look for a fault fills the disk a month later.",
    ),
    Mutant(
        name="a-commit-does-not-end-a-while",
        module="reconciler/core/overlay.py",
        before='one.under is None else "its manifest was changed"',
        after='one.under is None else ""',
        story="A fix is pushed, and for two hours it seems to do nothing.",
    ),
    Mutant(
        name="what-was-for-a-while-is-its-last-good-version",
        module="reconciler/core/overlay.py",
        before="found[name] = replace(memory, spec=under)",
        after="found[name] = memory",
        story="A manifest breaks while something else is tried out. When its time is over, what was"
        " tried stays.",
    ),
)

KEEPING = (
    Mutant(
        name="what-is-for-a-while-dies-with-its-daemon",
        module="reconciler/core/ledger.py",
        before="overlays=tuple(self.overlays.values()) if self.overlays_changed else None,",
        after="overlays=None,",
        story="A service is stopped for the night. The daemon is upgraded, and it runs again.",
    ),
    Mutant(
        name="each-boot-begins-a-while-anew",
        module="reconciler/adapters/sqlite/codec.py",
        before="min(one.ends - seconds(wall), one.lasts)",
        after="one.lasts",
        story="A host that reboots every hour never comes back to what its manifests say.",
    ),
    Mutant(
        name="an-end-stays-by-the-clock-of-the-boot-before",
        module="reconciler/core/ledger.py",
        before="            overlays_changed=bool(memory.overlays),\n",
        after="",
        story="After a reboot the wall clock is set back by a day. With the next daemon an hour is"
        " an hour again, and with each that follows.",
    ),
)

SHOWN = (
    Mutant(
        name="what-is-for-a-while-is-shown-as-in-sync",
        module="reconciler/core/status.py",
        before="is_laid_over = overlay is not None and sync is Sync.SYNCED",
        after="is_laid_over = False",
        story="Everybody reads that all is as git says, and looks for the fault in git.",
    ),
    Mutant(
        name="the-end-of-a-while-is-not-told",
        module="reconciler/core/wants.py",
        before='    ledger.tell("drift.ended", service=name, reason=why, actor=actor, data=data)\n',
        after="",
        story="A service changes at night, and no history says why.",
    ),
)

GUARDED = (
    Mutant(
        name="a-protection-is-lifted-for-a-while",
        module="reconciler/core/overlay.py",
        before="return spec if spec.protect == below.protect else",
        after="return spec if spec.protect != below.protect else",
        story="A database is protected. Its log level is raised for a while, its file vanishes in a"
        " merge, and it is removed without a question.",
    ),
    Mutant(
        name="a-while-is-a-yes-to-a-removal-that-waits",
        module="reconciler/core/wants.py",
        before="(owned.get(one.name) if one.name in held else None)",
        after="None",
        story="A removal waits for a yes. Somebody tries out something with one of its services,"
        " and when that is over, so is the service.",
    ),
)
