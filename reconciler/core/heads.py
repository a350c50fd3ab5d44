"""Decide whether a branch that moved is followed: only forwards, unless a person says otherwise.

A commit that does not descend from the one that is followed may bring back what was taken out, or
drop what somebody relies on. So it is held, and what runs goes on as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Relation(StrEnum):
    """How a commit comes after another one."""

    FIRST = "first"
    """There was none before."""
    SAME = "same"
    AHEAD = "ahead"
    """It descends from the other."""
    BEHIND = "behind"
    """The other descends from it: the branch was set back."""
    REWRITTEN = "rewritten"
    """Neither descends from the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A branch as it is followed, and as it is on the other side."""

    verified: str
    fetched: str
    relation: Relation
    same_tree: bool = False
    """Both have the very same files: a squash or a rebase that changed no text."""


class HeadHold(StrEnum):
    """Why a branch is not followed any further."""

    HISTORY_REWRITTEN = "HistoryRewritten"
    BRANCH_GONE = "BranchGone"
    SOURCE_STALE = "SourceStale"
    SIGNATURE_INVALID = "SignatureInvalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """That a branch is not followed any further, and why."""

    code: HeadHold
    because: str
    mend: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.because}; mend: {self.mend}" if self.mend else self.because


def judge(step: Step, branch: str) -> Held | None:
    """Give what is against following a branch to where it was fetched; None: nothing is.

    >>> judge(Step(verified="a1", fetched="b2", relation=Relation.AHEAD), "main") is None
    True
    >>> str(judge(Step(verified="a1", fetched="b2", relation=Relation.BEHIND), "main"))
    'main was set back from a1 to b2; mend: weaver accept-history b2'
    """
    match step.relation:
        case Relation.FIRST | Relation.SAME | Relation.AHEAD:
            return None
        case Relation.BEHIND:
            what = f"{branch} was set back from {step.verified[:12]} to {step.fetched[:12]}"
        case Relation.REWRITTEN:
            same = " (the files are the same)" if step.same_tree else ""
            what = (
                f"the history of {branch} was rewritten: {step.fetched[:12]} does not descend "
                f"from {step.verified[:12]}{same}"
            )
    mend = f"weaver accept-history {step.fetched[:12]}"
    return Held(code=HeadHold.HISTORY_REWRITTEN, because=what, mend=mend)


def gone(branch: str, verified: str, others: tuple[str, ...]) -> Held:
    """Say that there is no such branch any more, or never was one."""
    there = f"; there is {', '.join(others)}" if others else "; the repository is empty"
    kept = f", {verified[:12]} stays in force" if verified else ""
    return Held(
        code=HeadHold.BRANCH_GONE,
        because=f"there is no branch {branch}{there}{kept}",
        mend="push it, or name another: weaver up --repo URL --branch NAME",
    )
