"""The planted bugs: each is one changed line of the shipped source, under the rule it breaks.

A simulation that cannot catch one of them could not catch its like either. `plant` puts one in
force. Nothing of `reconciler` is imported here: that would be too early to plant anything.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.sim.planted import (
    appetites,
    asking,
    belief,
    deaths,
    drifts,
    following,
    healing,
    hooks,
    listening,
    liveness,
    noticing,
    overlays,
    refusals,
    reloading,
    rolling,
    schedules,
    timing,
    writing,
)
from tests.sim.planting import CannotPlantError, Mutant, plant, planted_text

__all__ = ["BY_RULE", "MUTANTS", "CannotPlantError", "Mutant", "named", "plant", "planted_text"]

BY_RULE: Mapping[str, tuple[Mutant, ...]] = {
    "one live process for each slot": timing.ONE_PROCESS,
    "nothing starts before what it needs": timing.NEEDS_FIRST,
    "no need is stopped before its dependent": timing.DEPENDENTS_FIRST,
    "a full stopTimeout before SIGKILL": timing.PATIENCE,
    "time asleep or out of sight does not count": timing.TIME_ASIDE,
    "back-off is kept": timing.BACK_OFF,
    "nothing desired is removed, and nothing much unasked": belief.REMOVAL,
    "the right process is signalled": belief.TARGET,
    "what is not concerned is left alone": belief.UNRELATED,
    "no action without a reason": belief.REASON,
    "every exit is recorded once, as it was": belief.EXITS,
    "no word is believed that is too old": belief.STALE,
    "a oneshot that did its work is not run again": belief.ONESHOTS,
    "a port stays open while somebody needs it, and no longer": listening.LISTENING,
    "a scheduled time is served once, and no other time": schedules.SCHEDULE,
    "who changes at the same time loses nothing, and owns their commit": writing.TOGETHER,
    "what nobody asked for is committed within bounds": writing.UNASKED,
    "only what is verified is followed, and only forwards": following.VERIFIED,
    "a branch is looked at in time, and not too often": following.LOOKS,
    "a change is in the branch once, and runs at once": following.PUSHES,
    "what people ask for outlives the daemon": asking.KEPT,
    "what people ask for is made once, or refused": asking.ONCE,
    "what people ask for is made in their order": asking.ORDER,
    "what was done to a process by hand is undone, and told once": drifts.DRIFTS,
    "what uses too much is replaced or told of, and nothing else": appetites.APPETITE,
    "who is ill is called so, and treated in time, once, one at a time": healing.HEALING,
    "what is for a while ends by itself, or before a commit": overlays.ENDING,
    "no death and no reboot makes a while longer or shorter": overlays.KEEPING,
    "what is for a while is told and shown as drift": overlays.SHOWN,
    "a while lifts no guard": overlays.GUARDED,
    "an instance gives way to another version in its turn": rolling.IN_TURN,
    "a version that failed is not started by itself": rolling.KEPT_AWAY,
    "a rollout comes to an end": rolling.TO_AN_END,
    "words and silence are heeded, and no more is made of them": noticing.NOTICES,
    "it arrives": liveness.ARRIVAL,
    "no moment is slept through": liveness.WAKING,
    "it gives up, and only then": liveness.GIVING_UP,
    "it comes to rest": liveness.REST,
    "what people ask for is done": liveness.REQUESTS,
    "a shutdown leaves nothing behind": liveness.SHUTDOWN,
    "what is seen without the holder counts": deaths.DEATHS,
    "a service starts only behind its preStart hooks": hooks.FIRST,
    "a hook runs once, and comes to its end": hooks.ONCE,
    "a hook is told how the process before it ended": hooks.TOLD,
    "a configuration is loaded once for each change": reloading.RELOADS,
    "a reload command runs for a reason, and its end is heeded": reloading.COMMANDS,
    "code that changes is run, and restarts nothing for ever": reloading.WATCHES,
    "what the host refuses is asked for again, and is no failure": refusals.REFUSED,
    "what is refused is told once": refusals.QUIET,
    "a start that cannot be as it is told has failed": refusals.IDENTITY,
}
ASLEEP: frozenset[str] = frozenset(
    {
        "a-reload-counts-from-its-end",
        "a-start-that-fails-before-its-program-is-tried-at-once",
        "an-unknown-user-counts-as-no-failure",
        "a-failed-reload-is-tried-without-end",
        "a-measure-of-the-last-process-counts-for-the-next",
        "a-run-is-in-the-way-of-the-last-one",
        "a-start-under-way-outlives-the-shutdown",
        "early-end-dropped-by-an-older-look",
        "new-words-forgive-and-new-fields-do-not",
        "removed-beside-a-broken-file",
        "start-into-a-restart",
        "too-much-is-told-each-time",
        "watchdog-sleeps-after-adoption",
        "what-a-hook-leaves-behind-stays",
    }
)
"""What no short search catches. Each wants an episode in which it shows; until then it proves
nothing."""
MUTANTS: tuple[Mutant, ...] = tuple(
    one for planted in BY_RULE.values() for one in planted if one.name not in ASLEEP
)


def named(name: str) -> Mutant:
    """Give the planted bug of a name."""
    found = next((one for one in MUTANTS if one.name == name), None)
    if found is None:
        raise CannotPlantError(f"cannot plant {name}: no planted bug has this name")
    return found
