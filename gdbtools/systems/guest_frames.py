"""Frames by two numbers: the machine's, which a paravirtual guest's tables hold, and the guest's own.

A guest that shares its machine with a hypervisor sees its memory as one piece, in pseudo-physical frames; where each is
in the machine two tables say, one for each direction.  A frame of the machine that does not lead back to itself by way
of both is foreign to the guest.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gdbtools.addresses import PA, VA


class FrameMark(enum.Enum):
    """Whose a frame of the machine is, as a guest sees it."""

    OWN = "its own"
    """Both tables agree on it."""
    SHARED = "shared by the hypervisor"
    """The hypervisor's, which it has given to this guest."""
    DEVICE = "device"
    """No memory that anybody is given: a device's, or what the machine keeps for itself."""
    GRANTED = "granted"
    """Memory of another guest, which has granted it to this one."""
    OTHERS = "another domain's"
    """Memory of another guest that it has not granted: mapped by a privilege."""
    HYPERVISORS = "the hypervisor's own"
    """Memory that the hypervisor has for itself, and has given to nobody."""
    FOREIGN = "foreign"
    """It does not lead back to itself, and nothing that the hypervisor keeps explains that."""

    @property
    def is_explained(self) -> bool:
        return self not in (FrameMark.HYPERVISORS, FrameMark.FOREIGN)


@dataclass(frozen=True, slots=True)
class NumberedFrame:
    """A frame of the machine, with its pseudo-physical number; None where it has none.

    `use` is what the hypervisor knows it to be used as, and `said` in words why it is marked as it is.
    """

    machine: int
    pseudo: int | None
    mark: FrameMark
    use: str
    said: str


@dataclass(frozen=True, slots=True)
class Protected:
    """A frame that its guest may not write, and why, in words; `level` is that of a table, 0 for what is none."""

    machine: int
    why: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class GuestRoot:
    """A root table of a guest; `is_kernel` says whether the guest's kernel is in it."""

    pa: PA
    is_kernel: bool


@dataclass(frozen=True, slots=True)
class GuestFault:
    """A page fault that a hypervisor has passed on to its guest's own handler, at whose first instruction the CPU is.

    `registers` are those that hardware would have left there, `memory` what the hypervisor has written otherwise than
    hardware does, as hardware would have it: (address, bytes).  `said` is in words where the address is, and what the
    hypervisor has changed.
    """

    registers: Mapping[str, int]
    memory: tuple[tuple[PA, bytes], ...]
    said: tuple[str, ...]


class GuestFrames(abc.ABC):
    """What is known of a paravirtual guest's memory.

    `title` says who is whose guest.  `kernel` are the registers that lead to the guest's kernel, where those in force
    do not.  `evidence` is in words what it was found by, `limits` how far the tables go.  `ranges` are the guest's own
    virtual addresses, (first, last): all others are the hypervisor's.
    """

    title: str
    evidence: tuple[str, ...]
    limits: tuple[str, ...]
    kernel: Mapping[str, int]
    ranges: tuple[tuple[VA, VA], ...]
    page_bits: int

    @abc.abstractmethod
    def of(self, machine: int) -> NumberedFrame:
        """Return both numbers of a frame of the machine, and whose it is."""

    @abc.abstractmethod
    def protected(self) -> Mapping[int, Protected]:
        """Return the frames of the guest that it may not write, by their machine numbers."""

    @abc.abstractmethod
    def roots(self) -> Sequence[GuestRoot]:
        """Return every root table of the guest, that of its kernel in force first."""

    @abc.abstractmethod
    def root_registers(self, root: GuestRoot) -> Mapping[str, int]:
        """Return the registers that lead to a root table."""

    @abc.abstractmethod
    def passed_on(self) -> GuestFault | None:
        """Return the fault that has just been passed on to the guest; None where its CPU is not at its handler."""
