"""What of a guest's own code may be borrowed: kinds of instructions, and what they need in which register.

An instruction is borrowed by stepping over it once, where the guest has it, with the operand in the register that this
very instruction names.  Which instructions an architecture has for a purpose is its own to say.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gdbtools.addresses import PA, VA, Output
from gdbtools.arch.model import Access, Fault, ReadRegister
from gdbtools.errors import Refused


class Extent(enum.Enum):
    """How much of a TLB is to be invalidated."""

    ADDRESS = enum.auto()
    """What translates one address, whichever level of the tables it comes from."""
    ADDRESS_SPACE = enum.auto()
    """What is tagged with one address space identifier: nothing that is global."""
    ALL = enum.auto()
    """Everything of the regime."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be invalidated: `value` is the address, or the identifier of the address space."""

    extent: Extent
    value: int = 0


@dataclass(frozen=True, slots=True)
class Use:
    """How one instruction is used: the registers to set before it, the one that has its result, and its text."""

    text: str
    registers: Mapping[str, int]
    result: str = ""
    size_bytes: int = 0
    """Of the access, where it makes one."""
    again: tuple[Mapping[str, int], ...] = ()
    """The registers for each further time that it is executed, where once does not do."""
    leaves: str = ""
    """What an invalidation does not reach although it may be meant, in words."""


@dataclass(frozen=True)
class Borrowable:
    """Every instruction `word` with `word & mask == match` that `use` does not decline by giving None.

    Of several kinds for one purpose those with the lowest `rank` are wanted most.
    """

    mask: int
    match: int
    use: Callable[[int], Use | None] = field(compare=False)
    rank: int = 0
    extent: Extent | None = None
    """What it invalidates, if it does: it may be more than was asked for."""
    broadcast: bool = True
    """Whether it does so for the other CPUs too."""
    size_bytes: int = field(kw_only=True)
    """How long the instruction is; `mask` and `match` have so many bytes, the first in memory lowest."""

    def fits(self, word: int) -> bool:
        return word & self.mask == self.match


@dataclass(frozen=True, slots=True)
class MaintenanceBarrier:
    """A barrier that belongs around an invalidation: `before` it, `after` it, or both.

    One that `completes` is what says that the invalidation is over; without the others, it may be noticed later.
    """

    name: str
    kinds: Sequence[Borrowable]
    before: bool
    after: bool
    completes: bool


@dataclass(frozen=True, slots=True)
class GadgetWords:
    """What an architecture calls what is borrowed.

    `translation` asks for a translation without an access, and leaves its answer in `translated`; both are empty where
    there is no such instruction.
    """

    invalidation: str
    exception_return: str
    translation: str = ""
    translated: str = ""
    identifier: str = "ASID"
    """What tells address spaces apart in a TLB."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Why a guest may still need what an exception would overwrite; `certain`, or for all that can be known."""

    why: str
    certain: bool


class Need(enum.Enum):
    """What a change of a live descriptor needs, the least first."""

    NOTHING = enum.auto()
    INVALIDATION = enum.auto()
    """It is safe, and TLBs may go on with the old until they are told."""
    BREAK = enum.auto()
    """The old has to be gone from every TLB before the new may be met: break-before-make."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a descriptor that is changed, what that needs, and why."""

    name: str
    before: int
    after: int
    width: int
    need: Need
    why: str


class Gadgets(abc.ABC):
    """What an architecture knows of borrowing.  Every method is handed the registers of the CPU as it stands."""

    words: GadgetWords
    alignment_bytes: int
    """Instructions begin at multiples of it."""
    returns: Sequence[Borrowable]
    """Exception returns."""
    overwritten: Sequence[str] = ()
    """What an exception overwrites, the general registers aside, and a stub lets be put back, as far as it has it."""
    left: Sequence[str] = ()
    """What an exception overwrites besides, and a stub does not let be put back."""

    @abc.abstractmethod
    def barriers(self) -> Sequence[MaintenanceBarrier]:
        """Return the barriers that belong around an invalidation, in the order in which they are stepped; none where
        an invalidation needs none.
        """

    @abc.abstractmethod
    def invalidations(self, scope: Scope, register: ReadRegister, regime: str | None = None) -> Sequence[Borrowable]:
        """Return what invalidates at least `scope`; raises `Refused` where this CPU may not do that now.

        `regime` is None for the CPU's own, or another that it reaches.
        """

    def reaches(self, register: ReadRegister, regime: str) -> bool:  # noqa: ARG002
        """Return whether this CPU has instructions that invalidate what another regime than its own translates."""
        return False

    def address_space_bits(self, register: ReadRegister, regime: str | None = None) -> int:  # noqa: ARG002
        """Return how many bits tell address spaces apart in the CPU's TLB, its own regime's or another's that it
        reaches; 0 where `invalidations` refuses them.
        """
        return 0

    @abc.abstractmethod
    def accesses(self, access: Access, address: VA, register: ReadRegister) -> Sequence[Borrowable]:
        """Return what makes this access to `address`, and to nothing else; raises `Refused` where nothing can."""

    def accesses_as(self, access: Access, address: VA, register: ReadRegister, regime: str) -> Sequence[Borrowable]:  # noqa: ARG002
        """Return what makes this access as another regime's level makes it, a hypervisor's as its guest; raises
        `Refused` where this CPU has no such instruction.
        """
        raise Refused(f"no access here is {regime}'s; stop where that regime is in force, and ask there")

    @abc.abstractmethod
    def translations(self, access: Access, address: VA, register: ReadRegister) -> Sequence[Borrowable]:
        """Return what asks the hardware to translate without an access; raises `Refused` where nothing can."""

    @abc.abstractmethod
    def translated(self, address: VA, register: ReadRegister) -> Output | Fault:
        """Return what the last such translation, of `address`, left in the registers: where it leads, or why not."""

    @abc.abstractmethod
    def entered(self, register: ReadRegister, regime: str | None = None) -> Sequence[ReadRegister]:
        """Return the registers as an exception would have them, for each level that may take a fault of this CPU.

        Only what says at which level the CPU is differs.  `regime` names another than the CPU's own, where an access is
        made as there.
        """

    def pushed(self, register: ReadRegister) -> Sequence[tuple[PA, int]]:  # noqa: ARG002
        """Return the physical memory, (first, size in bytes), that an exception of this CPU writes as it is taken.

        None where all of it goes into registers.  Raises `Refused` where it could not be written.
        """
        return ()

    @abc.abstractmethod
    def claim(self, register: ReadRegister) -> Claim | None:
        """Return why the guest may still need the registers that an exception overwrites; None if it does not."""
