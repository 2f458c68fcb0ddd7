"""A decoded exception syndrome, and what follows from it alone."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbtools.arch.model.access import AccessKind
from gdbtools.arch.model.fault import Fault, FaultKind
from gdbtools.bits import FieldValue, Word


class AddressMeaning(enum.Enum):
    """What the fault address register holds."""

    UNKNOWN = "nothing: this class of exception leaves it UNKNOWN"
    UNSAID = "not defined for this cause"
    INVALID = "nothing: the syndrome says that it is not valid"
    ACCESSED = "the address that was accessed"
    FETCHED = "the address that was fetched from"
    MISALIGNED_PC = "the pc that is not aligned"
    WATCHED = "an address that was accessed, at or near the one watched"
    IMPRECISE = "an address in the same granule as the one accessed"
    TARGET = "the address that a jump leads to, which is not aligned"
    BREAKPOINT = "the address of the breakpoint, or of the access that met one, or 0"
    MAYBE = "an address, or 0"
    ZERO = "nothing: this cause leaves it 0"
    INSTRUCTION = "the instruction itself, or 0"
    CODE = "a code of what happened"
    NOT_RECORDED = "nothing of it: this exception records no address"
    OLDER = "the address of the last page fault, which may be an older one"

    @property
    def valid(self) -> bool:
        return self not in _NO_ADDRESS


_NO_ADDRESS = (
    AddressMeaning.UNKNOWN,
    AddressMeaning.UNSAID,
    AddressMeaning.INVALID,
    AddressMeaning.ZERO,
    AddressMeaning.INSTRUCTION,
    AddressMeaning.CODE,
    AddressMeaning.NOT_RECORDED,
)


class Return(enum.Enum):
    """Where the saved pc of an exception leads."""

    THIS_INSTRUCTION = "the instruction that raised it"
    NEXT_INSTRUCTION = "the instruction after it"
    NEXT_UNLESS_TRAPPED = "the instruction after it; the instruction itself if it was trapped"
    INTERRUPTED = "the instruction that would have come next"
    UNKNOWN = "not said for this class"


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a faulting load or store would have moved: bytes between memory and one register.

    `signed` loads extend the sign; `ordered` ones have acquire or release semantics.  `held_in` is the register in
    which who took the exception finds `register`, empty where it has one name.
    """

    size_bytes: int
    register: str
    signed: bool
    ordered: bool
    held_in: str = ""


@dataclass(frozen=True, slots=True)
class TrappedOperand:
    """What a trapped instruction was handed: a register's value, and the parts of it that are known to be some.

    `held_in` is as `Transfer` has it.  `unknown` says why more of it is not told apart, empty where all is.
    """

    register: str
    value: int
    held_in: str = ""
    parts: tuple[FieldValue, ...] = ()
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Syndrome:
    """A decoded exception syndrome, and what follows from it alone.

    `word` accounts for every bit exactly once.  `fault`, `access_kind` and `status` are None where the exception is
    not about memory; `from_lower` says whether it was taken from a lower exception level, None where the class does not
    tell.  `address` is what the fault address register holds; `ipa_valid` says whether the register for intermediate
    physical addresses holds one, if this is a fault of stage 2.  `instruction` is the assembler's text as far as the
    syndrome tells it, and `target` the system register or System instruction in it: empty where there is none.
    `other_rules` are the bits that say that a rule refused which `check` does not replay.  `not_told_apart` are the
    kinds of fault that it says no more of than that it was one of them; empty where it tells.  `stage_told` says
    whether it tells of which stage.  `reason` is who wanted what and why it was refused, where the name tells no more
    than that it is a fault.  `interrupt` says that it is an interrupt's, where those have syndromes.
    """

    word: Word
    name: str
    fault: Fault | None = None
    access_kind: AccessKind | None = None
    status: int | None = None
    from_lower: bool | None = None
    address: AddressMeaning = AddressMeaning.UNKNOWN
    ipa_valid: bool = False
    s1ptw: bool = False
    returns: Return = Return.UNKNOWN
    instruction: str = ""
    target: str = ""
    immediate: int | None = None
    transfer: Transfer | None = None
    other_rules: tuple[FieldValue, ...] = ()
    notes: tuple[str, ...] = ()
    not_told_apart: frozenset[FaultKind] = frozenset()
    stage_told: bool = True
    interrupt: bool = False
    reason: str = ""

    def agrees(self, fault: Fault) -> bool:
        """Return whether it is of that fault of a walk, or of a check, as far as a syndrome says what it is of.

        Where kinds are told apart, all of the fault is, and has to be the same; elsewhere the level may be left out.
        """
        if self.fault is None or not self.not_told_apart:
            return fault == self.fault
        levels = (None, fault.level)
        same_stage = fault.stage == self.fault.stage or not self.stage_told
        return fault.kind in self.not_told_apart and same_stage and self.fault.level in levels

    @property
    def named_instruction(self) -> str:
        """The instruction, with its target behind it where the assembler has no name for that."""
        named = not self.target or self.target in self.instruction
        return self.instruction if named else f"{self.instruction} ({self.target})"

    @property
    def kinds(self) -> frozenset[FaultKind]:
        """The kinds of fault that it may be; none where it is no fault."""
        told = frozenset() if self.fault is None else frozenset((self.fault.kind,))
        return self.not_told_apart or told

    @property
    def address_valid(self) -> bool:
        return self.address.valid
