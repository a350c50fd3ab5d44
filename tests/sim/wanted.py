"""What is wanted, as the rules see it: restated from what the daemon was told, not asked of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from reconciler.model.desired import Definition, ManifestSet
from reconciler.model.diagnostic import Source
from reconciler.model.event import Happening, Operation, OperationKind
from reconciler.model.observed import Slot
from reconciler.model.overlay import OverlayAsked, TakeAway
from reconciler.model.record import Memory, ServiceMemory
from reconciler.model.spec import ServiceSpec
from reconciler.model.units import Nanos, ServiceName, minutes
from tests.sim.overlay_rules import OverlayRules, is_like

MAY_GO, MAY_GO_PERCENT = 3, 20
"""Services that may be removed unasked: so many, or so much of all if that is more."""
MAY_GO_WITHIN = minutes(10)
"""... by one change, or by several within this time."""


class Wanted:
    """The manifests as last told, the versions in force, and what may not be removed yet."""

    def __init__(self) -> None:
        self.is_told = False
        """Whether the present daemon has read the manifests."""
        self.is_shutting_down = False
        self.is_hurried = False
        self._manifests = ManifestSet()
        """... with what was asked for for a while in them."""
        self._as_read = ManifestSet()
        self.overlays = OverlayRules()
        self._ended_above_broken: set[ServiceName] = set()
        """What is over, with a broken manifest below: what is meant is its last good version."""
        self._in_force: dict[ServiceName, ServiceMemory] = {}
        self._held: frozenset[ServiceName] = frozenset()
        self._waits: frozenset[ServiceName] = frozenset()
        """What of it goes as soon as the files beside it can be read."""
        self._let_go: set[ServiceName] = set()
        """What is gone and may be removed, since it was little, or somebody agreed."""
        self.now = Nanos(0)
        self._unasked: dict[ServiceName, Nanos] = {}
        """What of it went since it was little, and when."""
        self._unregistered: set[ServiceName] = set()
        """What somebody asked to remove by name, gone or still to go."""
        self._tied: set[ServiceName] = set()
        """What would need itself, through others that stay as they are since they are broken."""
        self._tied_below: set[ServiceName] = set()
        """... as it is without what is wanted for a while."""
        self._held_as: dict[str, frozenset[ServiceName]] = {}
        """What each yes that was asked for would be a yes to."""

    def begin(self, memory: Memory) -> None:
        """Begin a daemon's life with what is on record."""
        self.is_told = self.is_shutting_down = self.is_hurried = False
        self._in_force = dict(memory.services)
        self.overlays.begin(memory.overlays)
        self._ended_above_broken.clear()
        self._let_go = {name for name, kept in memory.services.items() if kept.leaving}
        self._unasked = dict(memory.removed)
        self._unregistered.clear()
        waits = memory.prune is not None and not memory.prune.approved
        self._held = frozenset(memory.prune.services if memory.prune and waits else ())
        passes = memory.prune is not None and memory.prune.passes
        self._waits = self._held if passes else frozenset()
        self._held_as = {memory.prune.id: self._held} if memory.prune else {}

    def read(self, manifests: ManifestSet) -> None:
        """Take in manifests as the daemon reads them."""
        self.is_told, self._as_read, self._manifests = True, manifests, manifests
        for name in self.overlays.due(self.now):
            self._end(name)
        if self.overlays.above:
            self._tied_below = self._would_need_themselves()
        self._heed_manifests()
        self._lay()

    def _heed_manifests(self) -> None:
        """End what manifests say something else of than when it began."""
        for name, one in list(self.overlays.above.items()):
            found = self._as_read.definitions.get(name)
            is_said = is_like(found.spec if found else None, one.under)
            if not (is_said or name in self._tied_below or self._is_broken(name)):
                self._end(name)

    def lay_over(self, event: OverlayAsked, now: Nanos) -> None:
        """Take in what somebody wants for a while, or no more."""
        if not self.is_told:
            return
        if isinstance(event, TakeAway):
            for name in self.overlays.above.keys() & {*event.services}:
                self._end(name)
        else:
            for one in event.overlays:
                self.overlays.lay(replace(one, under=self._below(one.name)))
                self._unregistered.discard(one.name)
            self._heed_manifests()
        self._lay()
        self.pass_time(now)

    def _below(self, name: ServiceName) -> ServiceSpec | None:
        """Give what manifests say of a service, or what the last good one said."""
        found = self._as_read.definitions.get(name)
        is_tied = name in self._tied_below
        if found is not None and not is_tied:
            return found.spec
        # What waits for a yes to its removal is there until then.
        is_kept = self._is_broken(name) or is_tied or name in self._held
        return self._last_good(name) if is_kept else None

    def _last_good(self, name: ServiceName) -> ServiceSpec | None:
        """Give the version of a service that its manifest said, while it says nothing."""
        one = self.overlays.above.get(name) or self.overlays.over.get(name)
        return self.in_force(name) if one is None else one.under

    def pass_time(self, now: Nanos) -> None:
        """End what was asked for for a while, when that is over."""
        over = self.overlays.due(now) if self.is_told else []
        for name in over:
            self._end(name)
        if over:
            self._lay()

    def _end(self, name: ServiceName) -> None:
        one, is_defined = self.overlays.end(name), name in self._as_read.definitions
        if self._is_broken(name):
            self._ended_above_broken.add(name)
        if one.under is None and not is_defined:
            self._unregistered.add(name)

    def has_come_back(self, *, may_be: bool) -> None:
        """See that nothing is in force of what was for a while and is over."""
        if not may_be and self.overlays.over:
            in_force = {name: memory.spec for name, memory in self._in_force.items()}
            meant = {name: found.spec for name, found in self._manifests.definitions.items()}
            below = {name: self.overlays.over[name].under for name in self._ended_above_broken}
            self.overlays.has_come_back(in_force, {**below, **meant})
            self._ended_above_broken.clear()

    def _is_broken(self, name: ServiceName) -> bool:
        return name in self._as_read.invalid or self._is_in_broken_file(self._as_read, name)

    def _is_in_broken_file(self, manifests: ManifestSet, name: ServiceName) -> bool:
        memory = self._in_force.get(name)
        is_defined = name in manifests.definitions or memory is None
        return (
            not is_defined and memory is not None and memory.source.file in manifests.broken_files
        )

    def _lay(self) -> None:
        """Put what is asked for for a while in the place of what was read, as far as it fits."""
        found, laid = self._as_read, self.overlays.above
        while True:
            self._manifests = found
            self._tied_below = self._would_need_themselves()
            self._tied = self._tied_below - laid.keys()
            above = {
                name: Definition(spec=one.spec, source=Source(file=""))
                for name, one in laid.items()
            }
            self._manifests = replace(
                found,
                definitions={**found.definitions, **above},
                invalid={name: why for name, why in found.invalid.items() if name not in above},
            )
            misfit = self._misfit()
            if misfit is None:
                break
            self._end(misfit)
        back = {name for name in self._let_go if not self._is_gone(name)}
        self._let_go -= back
        self._unregistered -= back | (self._manifests.definitions.keys() - self._in_force.keys())
        self._hold()

    def _misfit(self) -> ServiceName | None:
        """Give what cannot be for a while any more: a need is gone, or it would need itself."""
        laid = self.overlays.above
        if not laid:
            return None
        names = self._manifests.definitions.keys() | self._as_read.invalid.keys()
        names |= {name for name in self._in_force if self._is_frozen(name)}
        for name, one in laid.items():
            if any(need.required and need.service not in names for need in one.spec.needs):
                return name
        frozen = {name for name in names - laid.keys() if self._is_frozen(name)}
        needs = {name: self._needs(name, name in frozen) for name in names}
        circling = (name for name in reversed(laid) if name in _reach(needs, needs[name]))
        return next(circling, None)

    def asked(self, operation: Operation) -> None:
        """Take in what somebody asked for."""
        match operation.kind:
            case OperationKind.SHUTDOWN:
                self.is_shutting_down = True
            case OperationKind.KILL:
                self.is_shutting_down = self.is_hurried = True
            case OperationKind.APPROVE_PRUNE:
                # A yes to another removal than the one that waits now is none.
                if self._held and self._held_as.get(operation.prune_id) == self._held:
                    self._let_go |= self._held
                self._unregistered.update(operation.services)
                self._hold()
            case _:
                pass

    def told(self, happenings: Iterable[Happening]) -> None:
        """Note by what name the removal that waits now may be agreed to."""
        for told in happenings:
            if told.kind == "prune.held":
                self._held_as[str(told.data["id"])] = self._held

    def put(self, name: ServiceName, memory: ServiceMemory | None) -> bool:
        """Take in what comes into force; tell whether more than words of it is new."""
        before = self._in_force.pop(name, None)
        if memory is not None:
            self._in_force[name] = memory
            is_lost = before and before.spec.protect and memory.spec.protect is None
            assert not is_lost, f"{name}: the protection went with its line"
        return before is None or memory is None or _wordless(before) != _wordless(memory)

    def remembered(self, name: ServiceName) -> ServiceMemory | None:
        """Give all that is on record of a service."""
        return self._in_force.get(name)

    def in_force(self, name: ServiceName) -> ServiceSpec | None:
        """Give the version of a service that is in force."""
        memory = self._in_force.get(name)
        return memory.spec if memory is not None else None

    def to_be_kept(self, name: ServiceName) -> ServiceSpec | None:
        """Give the version that a service is to keep, now that what was for a while may be over."""
        is_over, found = name in self.overlays.over, self._as_read.definitions.get(name)
        if is_over and found is not None and name not in self._tied:
            return found.spec
        return self._last_good(name) if is_over else self.in_force(name)

    def defined(self, name: ServiceName) -> ServiceSpec | None:
        """Give the version of a service that its manifest defines, else the one in force."""
        definition = self._manifests.definitions.get(name)
        return definition.spec if definition is not None else self.in_force(name)

    def width(self, name: ServiceName) -> int:
        """Give how many processes a service should have."""
        definition, spec = self._manifests.definitions.get(name), self.in_force(name)
        if self.is_shutting_down:
            return 0
        if definition is not None and name not in self._tied:
            spec = definition.spec
        elif spec is None or not (self._is_frozen(name) or name in self._held):
            return 0
        return spec.instances + self._surge(name) if spec.wants_to_run else 0

    def _surge(self, name: ServiceName) -> int:
        """Give how many slots more there may be while a new version comes."""
        memory = self._in_force.get(name)
        if memory is None or memory.rollout is None:
            return 0
        assert memory.rollout.surge <= memory.rollout.to.surge, f"too many slots of {name}"
        return memory.rollout.surge

    def is_rolling(self, name: ServiceName) -> bool:
        """Tell whether a new version is on its way through the slots of a service."""
        memory = self._in_force.get(name)
        return memory is not None and memory.rollout is not None

    def version(self, slot: Slot) -> ServiceSpec | None:
        """Give the spec that a slot has to run."""
        memory = self._in_force.get(slot.service)
        return memory.version(slot.index) if memory is not None else self.in_force(slot.service)

    def dependents(self, need: ServiceName) -> Iterable[ServiceName]:
        """Give the services that need another one, in force as they are."""
        return [
            name
            for name, memory in self._in_force.items()
            if any(one.service == need for one in memory.spec.needs)
        ]

    def _is_frozen(self, name: ServiceName) -> bool:
        found, memory = self._manifests, self._in_force.get(name)
        if name in found.invalid or name in self._tied:
            return True
        return memory is not None and memory.source.file in found.broken_files

    def _would_need_themselves(self) -> set[ServiceName]:
        """Give what is defined well, but not beside the old versions of what is not."""
        self._tied = set()
        names = self._manifests.definitions.keys() | self._in_force.keys()
        while True:
            frozen = {name for name in names if self._is_frozen(name)}
            needs = {name: self._needs(name, name in frozen) for name in names}
            found = {name for name in names - frozen if name in _reach(needs, needs[name])}
            if not found:
                return self._tied
            self._tied |= found

    def _needs(self, name: ServiceName, is_frozen: bool) -> list[ServiceName]:
        definition = self._manifests.definitions.get(name)
        if definition is not None and not is_frozen:
            return [need.service for need in definition.spec.needs]
        spec = self._last_good(name) if is_frozen else None
        return [need.service for need in spec.needs] if spec is not None else []

    def _is_gone(self, name: ServiceName) -> bool:
        is_defined = name in self._manifests.definitions
        return not is_defined and not self._is_frozen(name) and self.is_told

    def _hold(self) -> None:
        """Let go what is little; hold what is too much, and what was held and is not back."""
        if not self.is_told:
            return
        gone = {name for name in self._in_force if self._is_gone(name)}
        shielded = {name for name in gone if self._in_force[name].spec.protect}
        self._let_go |= (gone & self._unregistered) - shielded
        in_question = gone - self._let_go
        self._unasked = {
            name: at
            for name, at in self._unasked.items()
            if at + MAY_GO_WITHIN > self.now and self._is_gone(name)
        }
        stays = (self._in_force.keys() | self._manifests.definitions.keys()) - gone
        summed = len(in_question) + len(self._unasked)
        percent = 100 * summed / max(1, len(stays) + summed)
        is_little = summed <= MAY_GO or percent <= MAY_GO_PERCENT
        is_free = not in_question & (self._held - self._waits | shielded)
        in_doubt = {
            name
            for name in in_question
            if _folder(self._in_force[name].source.file)
            in {_folder(path) for path in self._manifests.broken_files}
        }
        self._waits = frozenset()
        if stays and is_little and is_free and in_doubt:
            self._held = self._waits = frozenset(in_question)
        elif stays and is_little and is_free:
            self._let_go |= in_question
            self._unasked |= dict.fromkeys(in_question, self.now)
            self._held = frozenset()
        else:
            self._held = frozenset(in_question)


def _folder(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _wordless(memory: ServiceMemory) -> ServiceSpec:
    """Give a version of a service without what is only shown to people, or loaded by it."""
    return replace(
        memory.spec,
        description="",
        display_name="",
        version="",
        labels={},
        annotations={},
        protect=None,
        loads={},
    )


def _reach(
    needs: Mapping[ServiceName, Iterable[ServiceName]], names: Iterable[ServiceName]
) -> set[ServiceName]:
    """Give these names, and everything that they need."""
    found: set[ServiceName] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += needs.get(name, ())
    return found
