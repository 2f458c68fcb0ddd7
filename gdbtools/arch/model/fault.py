"""Why a translation, or an access, was refused; the same types from a walk and from a syndrome."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from gdbtools.addresses import PA
from gdbtools.bits import Field
from gdbtools.wording import name_of


class FaultKind(enum.Enum):
    """The fault vocabulary; the JSON name is the enum's own, in lower case, with spaces."""

    TRANSLATION = enum.auto()
    ACCESS_FLAG = enum.auto()
    PERMISSION = enum.auto()
    ADDRESS_SIZE = enum.auto()
    EXTERNAL_ABORT = enum.auto()
    PARITY = enum.auto()
    TAG_CHECK = enum.auto()
    ALIGNMENT = enum.auto()
    GRANULE_PROTECTION = enum.auto()
    TLB_CONFLICT = enum.auto()
    UNSUPPORTED_ATOMIC = enum.auto()
    """An atomic hardware update of a descriptor that memory does not support."""
    UNSUPPORTED_ATOMIC_ACCESS = enum.auto()
    """An exclusive or atomic instruction to memory that does not support it."""
    IMPLEMENTATION_DEFINED = enum.auto()
    ACCESS = enum.auto()
    """Memory itself refuses, whatever the tables say: its protection, or what it is."""
    RESERVED_BIT = enum.auto()
    """An entry has a bit set that has to be clear, and hardware says so."""
    PROTECTION_KEY = enum.auto()
    """A permission that is not the entry's own: the key that it names denies the access."""
    DOMAIN = enum.auto()
    """A permission that is not the entry's own: a register denies the domain that it is of."""
    GENERAL_PROTECTION = enum.auto()
    """No page fault: the address is none, before any table is read."""
    PAGE = enum.auto()
    """The tables refuse, and hardware says no more: a syndrome has it, a walk never."""

    @property
    def label(self) -> str:
        """The kind as JSON and sentences have it."""
        return name_of(self)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a translation, or an access, was refused.

    `level` is the architecture's own number, None for a fault that has no level (an alignment fault; an external
    abort that was not on a walk).  `s1ptw` says that stage 2 refused the fetch of a stage 1 descriptor.
    """

    kind: FaultKind
    stage: int = 1
    level: int | None = None
    s1ptw: bool = False


class Cause(enum.Enum):
    """What decided a refusal: one name for each rule of an architecture's manual, whose own sentence is its value.

    Each architecture has its own list, which derives from this.
    """

    @property
    def sentence(self) -> str:
        return str(self.value)

    @property
    def is_soft_invalid(self) -> bool:
        """Whether software made the entry invalid by its valid bit alone, meaning to set it again."""
        return False

    @property
    def is_absent(self) -> bool:
        """Whether an entry is none: what says that it is valid is clear."""
        return False

    @property
    def is_address_size(self) -> bool:
        """Whether an entry leads beyond the physical addresses that there are."""
        return False

    @property
    def is_for_users_sake(self) -> bool:
        """Whether a privileged access was refused because a user may access it."""
        return False


@dataclass(frozen=True, slots=True)
class Decider:
    """The bits that decided, and where they live.

    `holder` is a register's name or `descriptor`; for a descriptor `pa` is its physical address and `level` its level.
    """

    cause: Cause
    holder: str
    field: Field
    value: int
    pa: PA | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fault together with what decided it."""

    fault: Fault
    decider: Decider
