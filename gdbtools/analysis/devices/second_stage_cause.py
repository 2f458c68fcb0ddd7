"""Why the second stage has nothing at an address: what is there for its guest, as far as that can be shown."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gdbtools.addresses import IPA
from gdbtools.analysis.devices.device_map import DeviceRegion
from gdbtools.analysis.devices.guest_tree import GuestTree, TreeSearch, guest_trees
from gdbtools.analysis.faults.diagnosis import Diagnosis, Verdict
from gdbtools.analysis.guests.census import Census, Censuses
from gdbtools.analysis.guests.memory import GuestMemory
from gdbtools.analysis.kept_answers import KeptAnswers
from gdbtools.arch.model import EntryKind, FaultKind, Read, Refusal, Regime, Walk
from gdbtools.systems.structures import Extent
from gdbtools.wording import name_of, number_of, size


class SecondStageCause(enum.Enum):
    """What a refusal of the second stage comes of: which of them, a hypervisor has to tell first."""

    SOFT_INVALID = enum.auto()
    """All is there but the valid bit: the hypervisor sets it again."""
    NEVER_POPULATED = enum.auto()
    """Memory by a device tree in the guest's memory, of which there is none (yet, or any more)."""
    DEVICE = enum.auto()
    """A device by it, which the hypervisor emulates."""
    NOTHING = enum.auto()
    """Neither memory nor a device by it."""
    NOT_KNOWN = enum.auto()
    """Nothing is mapped, and no device tree that may be the guest's says what should be."""
    PERMISSION = enum.auto()
    """It is there, and a right is withheld."""
    ACCESS_FLAG = enum.auto()
    OTHER = enum.auto()

    @property
    def label(self) -> str:
        return name_of(self)


_OF_PRESENT = {
    FaultKind.PERMISSION: SecondStageCause.PERMISSION,
    FaultKind.ACCESS_FLAG: SecondStageCause.ACCESS_FLAG,
}


UNPLACED: Final = "none is looked for: this source does not say where memory is, and a device might notice"


@dataclass(frozen=True)
class SecondStageRefusal:
    """What refused, and what is at the address that was refused, `ipa`.

    `tree` is the device tree that says so; `region` what it has there.  `why_unknown` says why none is believed.
    `mapped_bytes` and `identity_bytes` are of all that the second stage maps, 0 where that was not asked for.
    """

    cause: SecondStageCause
    ipa: IPA
    region: DeviceRegion | None = None
    tree: GuestTree | None = None
    why_unknown: str = ""
    mapped_bytes: int = 0
    identity_bytes: int = 0


@dataclass(frozen=True)
class MachineMemory:
    """The memory of a machine: `places` is where it has any, None where its source does not say.

    `glance` reads what no answer rests on.  Where a device `may_notice` a read, nothing else than memory is looked at.
    """

    read: Read
    glance: Read
    places: Sequence[Extent] | None
    may_notice: bool


class KeptTrees:
    """The device trees that were found in guests' memory, and the censuses of it, kept from one question to the next.

    A hypervisor puts a guest's tree where it is before the guest begins, so that places without one are not looked at
    again for as long as the second stage and the trees that were found are the same.
    """

    def __init__(self, censuses: Censuses) -> None:
        self._censuses = censuses
        self._searches = KeptAnswers[TreeSearch]()

    def of(self, regime: Regime, machine: MachineMemory) -> tuple[GuestMemory, TreeSearch]:
        """Return the memory that a second stage maps, and the trees in it."""
        counted = self._censuses.of(regime, machine.read, machine.places)
        asked: tuple[Census, object] = counted, machine.places
        found = self._searches.of(
            asked,
            machine.read,
            lambda noted: guest_trees(GuestMemory(counted, noted.read), machine.glance, machine.places),
        )
        return GuestMemory(counted, machine.read), found


def of_diagnosis(found: Diagnosis, machine: MachineMemory, kept: KeptTrees) -> SecondStageRefusal | None:
    """Return why the second stage refused, where its tables agree that it did; None for other faults."""
    walked, predicted = found.walk, found.predicted
    if found.verdict is not Verdict.TABLES_AGREE or walked is None or predicted is None or predicted.fault.stage == 1:
        return None
    below = walked.below if walked.regime.stage == 1 else walked
    return None if below is None else second_stage_refusal(below, predicted, machine, kept)


def second_stage_refusal(
    below: Walk, predicted: Refusal, machine: MachineMemory, kept: KeptTrees
) -> SecondStageRefusal:
    """Return why a walk of the second stage was refused by `predicted`.

    The guest's memory is looked through where nothing is mapped, and nothing but memory: a hypervisor maps devices as
    it does memory, and a device may notice.
    """
    ipa = IPA(below.input)
    if predicted.decider.cause.is_soft_invalid:
        return SecondStageRefusal(SecondStageCause.SOFT_INVALID, ipa)
    if predicted.fault.kind in _OF_PRESENT:
        return SecondStageRefusal(_OF_PRESENT[predicted.fault.kind], ipa)
    if not below.steps or below.steps[-1].entry.kind is not EntryKind.INVALID:
        return SecondStageRefusal(SecondStageCause.OTHER, ipa)
    if machine.places is None and machine.may_notice:
        return SecondStageRefusal(SecondStageCause.NOT_KNOWN, ipa, why_unknown=UNPLACED)
    return _absent(ipa, *kept.of(below.regime, machine))


def _absent(ipa: IPA, memory: GuestMemory, search: TreeSearch) -> SecondStageRefusal:
    trees = search.believed
    said = {_by_tree(ipa, each) for each in trees}
    cause, region = said.pop() if len(said) == 1 else (SecondStageCause.NOT_KNOWN, None)
    why = ""
    if not trees and search.trees:
        other = search.trees[0]
        why = f"the one at its address {other.ipa:#x}, PA {other.pa:#x}, is the machine's own: {other.whose.why}"
    elif not trees:
        why = f"none was found in the memory that stage 2 maps{_unread(memory, search)}"
    elif cause is SecondStageCause.NOT_KNOWN:
        why = f"{len(trees)} are in the memory that stage 2 maps, and they differ on it"
    tree = None if why else trees[0]
    mapped = memory.census.count(lambda each: each.size_bytes)
    return SecondStageRefusal(cause, ipa, region, tree, why, mapped, memory.own_address_bytes)


def _by_tree(ipa: int, tree: GuestTree) -> tuple[SecondStageCause, DeviceRegion | None]:
    memory, device = tree.map.memory_at(ipa), tree.map.device_at(ipa)
    if device is not None:
        return SecondStageCause.DEVICE, device
    return (SecondStageCause.NEVER_POPULATED, memory) if memory else (SecondStageCause.NOTHING, None)


def _unread(memory: GuestMemory, search: TreeSearch) -> str:
    """Return what of a guest's memory was not looked at, as the end of a sentence."""
    lost = len(memory.census.unread)
    said = [f"{number_of(lost, 'table')} cannot be read"] if lost else []
    said += [f"nor can {search.unreadable} of {search.places} places"] if said and search.unreadable else []
    said += [f"{search.unreadable} of {search.places} places cannot be read"] if not said and search.unreadable else []
    said += [f"only its first {size(search.looked_through)} were looked through"] if search.looked_through else []
    return f", but {', '.join(said)}" if said else ""
