"""Clear away what a writer left that was killed: its lock, its temporary files. Nothing else."""

from __future__ import annotations

from contextlib import suppress

from reconciler.adapters.git import locks, saved
from reconciler.adapters.git.checkout import Checkout, foreign_owner
from reconciler.adapters.git.locks import Holder
from reconciler.ports import ConflictError


def clear_left_over(checkout: Checkout) -> None:
    """Clear up after a dead writer, unless another one is at work, which does so by itself.

    In another user's repository nothing is touched.
    """
    if foreign_owner(checkout) is not None:
        return
    with suppress(ConflictError, OSError), locks.writer(checkout, wait_s=0):
        if locks.index_holder(checkout) is Holder.DEAD_WEAVER:
            locks.remove_left_over(locks.index_lock(checkout))
        sweep(checkout)


def sweep(checkout: Checkout) -> None:
    """Remove the temporary files of killed writers. Call it as the one writer."""
    locks.sweep(checkout)
    saved.sweep(checkout.root)
