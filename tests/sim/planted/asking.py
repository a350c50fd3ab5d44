"""Bugs about changes that wait for their commit, and about daemons that die meanwhile."""

from __future__ import annotations

from tests.sim.planting import Mutant

KEPT = (
    Mutant(
        name="a-change-is-on-no-disk",
        module="reconciler/runtime/pending.py",
        before="            await self._pending.keep(asked.id, text_of(asked))\n",
        after="            pass\n",
        story="The daemon is upgraded while a change waits for its turn. Nobody makes it.",
    ),
    Mutant(
        name="what-cannot-be-reached-is-given-up",
        module="reconciler/runtime/resuming.py",
        before="            return False\n",
        after="            return True\n",
        story="A host reboots, and its forge is not up yet. What people had asked for is gone.",
    ),
    Mutant(
        name="who-hung-up-has-it-made-by-the-next-daemon",
        module="reconciler/runtime/landing.py",
        before="if not is_again and (is_waiting or not is_queued):",
        after="if not is_again and not is_queued:",
        story="Somebody interrupts weaver set before its turn. After the next reboot it is made.",
    ),
    Mutant(
        name="one-fault-refuses-all-that-came-with-it",
        module="reconciler/runtime/landing.py",
        before="except (ManifestError, ConflictError, NotFoundError, BlockedError):",
        after="except (ConflictError, NotFoundError, BlockedError):",
        story="A script applies twenty files at once. One has a fault, and all are refused.",
    ),
)

ONCE = (
    Mutant(
        name="what-is-for-a-while-is-kept-like-a-commit",
        module="reconciler/runtime/pending.py",
        before="is_elsewhere = is_elsewhere or bool(lasting(request))",
        after="is_elsewhere = is_elsewhere or not request",
        story="A service is stopped for an hour, and its daemon dies. With the next one the hour"
        " begins anew.",
    ),
    Mutant(
        name="what-is-in-the-branch-is-made-once-more",
        module="reconciler/runtime/resuming.py",
        before="if commit := await self._repository.landed(asked.id, asked.base):",
        after='if commit := "":',
        story="A daemon dies behind its push. The next one makes the same change over what somebody"
        " wrote since.",
    ),
    Mutant(
        name="a-shared-commit-names-its-first-change-only",
        module="reconciler/runtime/asking.py",
        before='op_id=", ".join(one.op_id for one in requests),',
        after="op_id=requests[0].op_id,",
        story="Five changes share a commit, and the daemon dies. Four of them are made once more.",
    ),
    Mutant(
        name="a-refusal-is-told-before-it-holds",
        module="reconciler/runtime/landing.py",
        before="                over = [one for one in self._taken if one not in self._queue]\n",
        after="                over = [one for one in self._taken if one not in self._queue]\n"
        "                for one in over if fault else ():\n"
        "                    one.told.put_nowait(fault)\n",
        story="Somebody is told that nothing was written. A daemon later it is in the branch.",
    ),
)

ORDER = (
    Mutant(
        name="the-newest-that-is-kept-comes-first",
        module="reconciler/runtime/resuming.py",
        before="for asked in await self._keeping.kept():",
        after="for asked in reversed(await self._keeping.kept()):",
        story="A value was set twice before the daemon died. It ends with the first one.",
    ),
    Mutant(
        name="a-new-change-overtakes-what-is-kept",
        module="reconciler/runtime/pending.py",
        before="        await self._is_free.wait()\n",
        after="",
        story="weaver set loses its daemon. Somebody asks again, for another value; that is made,"
        " and then the one before.",
    ),
)
