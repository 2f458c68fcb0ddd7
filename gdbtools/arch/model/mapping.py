"""What is mapped, as maximal runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gdbtools.addresses import IPA, PA, Input, Output, moved
from gdbtools.arch.model.fault import Fault, Refusal
from gdbtools.arch.model.walk import Attributes


@dataclass(frozen=True, slots=True)
class LeafKind:
    """What all leaves of a run have in common.

    `fault` is what an access would meet at any of them: a clear access flag, an output address out of range, a refusal
    of the stage below, or, of those that are `soft_invalid`, the entry on the way that has only its valid bit clear:
    none of them is mapped until software sets that again.
    """

    level: int
    attributes: Attributes
    fault: Fault | None
    soft_invalid: bool = False


class Run(NamedTuple):
    """A maximal range of input addresses that leaves of one kind and size map, one after another.

    `output` is where `first` leads; the next leaf leads `stride_bytes` further: the leaf's own size, or 0 where every
    leaf of the run leads to the same place.  It is None where the stage below has nothing there; `ipa` is then, and
    wherever there is a stage below, what this stage gives.  `descriptor_pa` is where the first leaf's descriptor is.
    """

    first: Input
    size_bytes: int
    output: Output | None
    leaf_bytes: int
    stride_bytes: int
    kind: LeafKind
    descriptor_pa: PA
    ipa: IPA | None = None

    @property
    def last(self) -> Input:
        return moved(self.first, self.size_bytes - 1)

    @property
    def attributes(self) -> Attributes:
        return self.kind.attributes

    @property
    def fault(self) -> Fault | None:
        return self.kind.fault

    @property
    def leaves(self) -> int:
        return self.size_bytes // self.leaf_bytes

    def offset_of(self, address: Input) -> int:
        """Return how far beyond `output` an address within the run leads."""
        offset = address - self.first
        return offset if self.stride_bytes else offset % self.leaf_bytes


class Hole(NamedTuple):
    """A part of the input address space whose table could not be read: neither mapped nor unmapped.

    `refusal` is set where it is the stage below that refuses the table.
    """

    first: Input
    size_bytes: int
    pa: Output
    why: str
    refusal: Refusal | None = None
