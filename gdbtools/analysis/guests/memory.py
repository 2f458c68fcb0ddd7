"""A guest's memory by its own addresses, as physical memory that commands can be handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.analysis.devices.guest_tree import GuestMemory
from gdbtools.analysis.guests.census import Census
from gdbtools.analysis.roots.table_survey import Extent
from gdbtools.arch.model import Read
from gdbtools.errors import Refused


@dataclass(frozen=True)
class OwnPhysical:
    """Physical memory as a guest has it: an address of its machine stands for a physical one."""

    guest: GuestMemory
    description: str

    def places(self) -> Sequence[Extent]:
        """Return where the guest has memory, in order of address."""
        found: list[Extent] = []
        for run in self.guest.runs:
            if found and sum(found[-1]) == run.first:
                found[-1] = found[-1][0], found[-1][1] + run.size_bytes
            else:
                found.append((PA(run.first), run.size_bytes))
        return found

    def read(self, pa: PA, size_bytes: int) -> bytes:
        return self.guest.read_ipa(pa, size_bytes)

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused("a guest's memory is only looked at by its own addresses; write by the machine's")


def own_physical(found: Census, read: Read, name: str) -> OwnPhysical:
    """Return the memory of a guest of that name, whose second stage has been counted."""
    mapped = found.bytes_of(memory=True) + found.bytes_of(memory=False)
    own = sum(each.own_address * each.leaf_bytes for each in found.groups)
    return OwnPhysical(GuestMemory(found.memory, read, mapped, own, len(found.unread)), f"the memory of {name}")
