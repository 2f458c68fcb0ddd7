"""A guest's memory: where its second stage has memory, read by the guest's own addresses.

Which of what is mapped is memory the census says, and nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gdbtools.addresses import IPA, PA
from gdbtools.analysis.guests.census import Census
from gdbtools.arch.model import Read, Run
from gdbtools.errors import Refused, Unreadable
from gdbtools.systems.structures import Extent


@dataclass(frozen=True)
class GuestMemory:
    """The memory that a second stage maps, of which `census` counts all.

    Soft-invalid leaves are part of it: what they keep is where the memory is.
    """

    census: Census
    read: Read

    @property
    def runs(self) -> Sequence[Run]:
        return self.census.memory

    @property
    def own_address_bytes(self) -> int:
        """How much of all that is mapped leads to the address that it has."""
        return sum(each.own_address * each.leaf_bytes for each in self.census.groups)

    def places(self) -> Sequence[Extent]:
        """Return where the guest has memory by its own addresses, in order."""
        found: list[Extent] = []
        for run in self.runs:
            if found and sum(found[-1]) == run.first:
                found[-1] = found[-1][0], found[-1][1] + run.size_bytes
            else:
                found.append((PA(run.first), run.size_bytes))
        return found

    def read_ipa(self, ipa: int, size_bytes: int) -> bytes:
        """Return bytes of the guest's memory; raise `Unreadable` where it has none."""
        parts: list[bytes] = []
        for run in self.runs:
            while size_bytes and run.first <= ipa <= run.last:
                offset = run.offset_of(IPA(ipa))
                take = min(size_bytes, run.last - ipa + 1)
                take = take if run.stride_bytes else min(take, run.leaf_bytes - offset)
                assert run.output is not None, "these have an output"
                parts.append(self.read(PA(run.output + offset), take))
                ipa, size_bytes = ipa + take, size_bytes - take
        if size_bytes:
            raise Unreadable(PA(ipa), size_bytes, "the second stage maps no memory there")
        return b"".join(parts)

    def pa_of(self, ipa: int) -> PA:
        """Return where an address of the guest's memory is."""
        run = next(each for each in self.runs if each.first <= ipa <= each.last)
        assert run.output is not None, "these have an output"
        return PA(run.output + run.offset_of(IPA(ipa)))


@dataclass(frozen=True)
class OwnPhysical:
    """Physical memory as a guest has it: an address of its machine stands for a physical one."""

    guest: GuestMemory
    description: str

    def places(self) -> Sequence[Extent]:
        """Return where the guest has memory, in order of address."""
        return self.guest.places()

    def read(self, pa: PA, size_bytes: int) -> bytes:
        return self.guest.read_ipa(pa, size_bytes)

    def write(self, pa: PA, data: bytes) -> None:  # noqa: ARG002
        raise Refused("a guest's memory is only looked at by its own addresses; write by the machine's")
