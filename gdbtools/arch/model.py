"""The values that every architecture's translation speaks in.

A frozen `Walk` keeps every descriptor it met; `Fault` is the same type whether it comes from a walk or from a syndrome,
so `syndrome.fault == walk.outcome` is both the diagnosis and the test oracle.  Meaning is an enum; wording is a view's.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gdbtools.bits import Field, FieldValue, Word
from gdbtools.wording import name_of

Read = Callable[[int, int], bytes]
"""Give `size_bytes` of physical memory at `pa`, or raise `Unreadable`: what a walk is handed."""

ReadRegister = Callable[[str], int]
"""Give a register's unsigned value by its architectural name, or raise `Unavailable`."""


@dataclass(frozen=True)
class Derived:
    """Registers that nobody read: their values, and in words where each comes from or what was taken for granted.

    `regime` is the one that they are of, where it is one.
    """

    values: Mapping[str, int]
    assumed: tuple[str, ...]
    regime: str | None = None


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


@dataclass(frozen=True, slots=True)
class Mapped:
    """Where an address leads: the output address, and the size of the block or page that says so."""

    address: int
    size_bytes: int


class Cause(enum.Enum):
    """What decided a refusal: one name for each rule that the manual has."""

    INVALID_ENTRY = enum.auto()
    SOFT_INVALID = enum.auto()
    RESERVED_ENTRY = enum.auto()
    BLOCK_NOT_ALLOWED = enum.auto()
    OUTSIDE_RANGE = enum.auto()
    RANGE_DISABLED = enum.auto()
    RANGE_SIZE = enum.auto()
    ADDRESS_TOO_LARGE = enum.auto()
    OUTPUT_TOO_LARGE = enum.auto()
    TABLE_TOO_LARGE = enum.auto()
    ROOT_TOO_LARGE = enum.auto()
    NOT_ACCESSED = enum.auto()
    PRIVILEGED_ONLY = enum.auto()
    READ_ONLY = enum.auto()
    EXECUTE_NEVER = enum.auto()
    WRITABLE_BY_USER = enum.auto()
    WRITE_IMPLIES_EXECUTE_NEVER = enum.auto()
    PRIVILEGED_ACCESS_NEVER = enum.auto()
    TAGGED_FETCH = enum.auto()
    LOGICAL_TAG_FETCH = enum.auto()
    STARTING_LEVEL = enum.auto()
    NO_READ = enum.auto()
    NO_WRITE = enum.auto()
    BASE_PERMISSION = enum.auto()
    OVERLAY = enum.auto()
    NOT_DIRTY = enum.auto()
    DEVICE_WALK = enum.auto()
    SECURE_FETCH = enum.auto()
    FOREIGN_FETCH = enum.auto()
    DEVICE_FETCH = enum.auto()
    MAINTENANCE_WITHOUT_WRITE = enum.auto()
    REGISTERS_DISABLED = enum.auto()


@dataclass(frozen=True, slots=True)
class Decider:
    """The bits that decided, and where they live.

    `holder` is a register's name or `descriptor`; for a descriptor `pa` is its physical address and `level` its level.
    """

    cause: Cause
    holder: str
    field: Field
    value: int
    pa: int | None = None
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fault together with what decided it."""

    fault: Fault
    decider: Decider


class EntryKind(enum.Enum):
    """What a descriptor is at the level where it was met."""

    INVALID = enum.auto()
    SOFT_INVALID = enum.auto()
    """Nothing but its valid bit is clear: hardware faults here, and `Entry.kept` is what software left in it."""
    TABLE = enum.auto()
    BLOCK = enum.auto()
    PAGE = enum.auto()

    @property
    def label(self) -> str:
        return self.name.lower().replace("_", "-")

    @property
    def is_leaf(self) -> bool:
        return self in (EntryKind.BLOCK, EntryKind.PAGE)


@dataclass(frozen=True, slots=True)
class Level:
    """One level of lookup: input-address bits [high:low] index its table.  `number` is the architecture's own."""

    number: int
    high: int
    low: int

    @property
    def entries(self) -> int:
        return 1 << (self.high - self.low + 1)

    @property
    def size_bytes(self) -> int:
        """How much input address space one entry covers."""
        return 1 << self.low

    def index(self, address: int) -> int:
        return (address >> self.low) & (self.entries - 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A descriptor, decoded for its level.

    `address` is the next table's or the output address of the block or page; 0 and meaningless when INVALID or
    SOFT_INVALID.  `cause` says why hardware does not use an entry.  `kept` is what a SOFT_INVALID one would be with its
    valid bit set, of the same word and for the same cause.
    """

    kind: EntryKind
    word: Word
    address: int
    cause: Cause | None = None
    kept: Entry | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One descriptor met on a walk: where it was, and what it said.

    `via` is the stage 2 walk that fetched it, whose input is its intermediate physical address; None where there is no
    second stage.
    """

    level: Level
    index: int
    pa: int
    entry: Entry
    via: Walk | None = None

    @property
    def is_leaf(self) -> bool:
        return self.entry.kind.is_leaf


@dataclass(frozen=True, slots=True)
class Fetch:
    """A descriptor that stage 2 would not let the walk fetch: `via` says why, and its input is where it would be."""

    level: Level
    index: int
    via: Walk


class AccessKind(enum.Enum):
    """What the processor wanted to do.

    MAINTENANCE is cache maintenance by address, never a write to memory; INVALIDATION the kind that discards what was
    written, and needs the right to write; CLEAN_INVALIDATION the kind that takes it from the caches, or invalidates
    instructions, and may need that right.
    """

    READ = enum.auto()
    WRITE = enum.auto()
    EXECUTE = enum.auto()
    MAINTENANCE = enum.auto()
    INVALIDATION = enum.auto()
    CLEAN_INVALIDATION = enum.auto()

    @property
    def label(self) -> str:
        cache = {
            AccessKind.MAINTENANCE: "cache maintenance",
            AccessKind.INVALIDATION: "cache invalidation",
            AccessKind.CLEAN_INVALIDATION: "cache clean and invalidation",
        }
        return cache.get(self, self.name.lower())


@dataclass(frozen=True, slots=True)
class Access:
    """An access of one kind from one exception (or privilege) level.

    An `unprivileged` one (Arm's LDTR and STTR) is checked as if a user made it, unless processor state says otherwise.
    """

    kind: AccessKind
    el: int
    unprivileged: bool = False


@dataclass(frozen=True, slots=True)
class Rights:
    """What a level may do, before processor state (PAN and its like) has a say."""

    read: bool
    write: bool
    execute: bool
    shadow_stack: bool = False
    """Written by the call stack's own instructions only (Arm's Guarded Control Stack)."""

    def __str__(self) -> str:
        write = "w" if self.write else "g" if self.shadow_stack else "-"
        return ("r" if self.read else "-") + write + ("x" if self.execute else "-")

    def __and__(self, other: Rights) -> Rights:
        """Give what two stages both allow."""
        return Rights(
            self.read and other.read,
            self.write and other.write,
            self.execute and other.execute,
            self.shadow_stack and other.write,
        )


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the whole path gives to a mapping, hierarchical bits included.

    `memory` names the memory type; `rights` maps an exception level to what it may do; `dirty` is None where the
    regime keeps no dirty state of its own.
    """

    memory: str
    shareability: str
    rights: Mapping[int, Rights]
    accessed: bool
    dirty: bool | None
    is_global: bool
    contiguous: bool
    guarded: bool = False
    """Indirect branches into it have to land on a marked instruction (Arm's GP)."""
    non_secure: bool = False


class Regime(abc.ABC):
    """One range of a translation regime, built from registers by a pure function.

    `levels` runs from the root to the last level; an MMU that is off is a regime with no levels.  `first`..`last` are
    the input addresses it admits, `output_last` the highest output.  `below` is the next stage, which translates this
    one's outputs and the addresses of its tables.  `assumed` says, in words, what stands in for registers that the
    source lacks; `notes` what is reserved or CONSTRAINED UNPREDICTABLE in the ones it has, and how it was read.
    """

    name: str
    stage: int
    root: int
    levels: tuple[Level, ...]
    first: int
    last: int
    output_last: int
    entry_bytes: int = 8
    below: Regime | None = None
    has_soft_invalid: bool = False
    """Whether entries are met here that software made invalid by their valid bit alone, meaning to set it again."""
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    byte_order: Literal["little", "big"] = "little"

    @abc.abstractmethod
    def admit(self, address: int) -> Refusal | None:
        """Refuse an input address before any table is read."""

    @abc.abstractmethod
    def decode(self, raw: bytes, level: Level) -> Entry:
        """Say what a raw descriptor is at this level.  Never refuses."""

    @abc.abstractmethod
    def accept(self, step: Step) -> Refusal | None:
        """Refuse an entry: invalid, an address out of range, or an access flag that software has to set."""

    @abc.abstractmethod
    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        """Give what a path grants; None unless it ends in a block or a page, or the MMU is off.

        With `final`, the walk of its output through the stage below, what both stages grant.
        """

    def fetch_refused(self, via: Walk) -> Refusal | None:
        """Say what refuses to fetch a descriptor through the stage below: the walk's own refusal, or a permission."""
        return via.refusal

    def output(self, address: int, leaf: Step | None) -> Mapped:
        """Give where `address` leads through `leaf`; without levels, to itself."""
        if leaf is None:
            return Mapped(address & self.last, self.last + 1)
        return Mapped(leaf.entry.address | address & (leaf.level.size_bytes - 1), leaf.level.size_bytes)

    def stride(self, level: Level) -> int:
        """Give by how much two neighbouring descriptors of a run that is contiguous in its output differ."""
        return level.size_bytes

    def linear_bits(self, level: Level) -> int:  # noqa: ARG002
        """Give the bits of a leaf descriptor at this level that count up along such a run; the rest is its kind."""
        return 0

    def table_bits(self) -> int:
        """Give the bits of a table descriptor that are the next table's address and stand in their own place."""
        return 0

    def tag_of(self, address: int) -> int:  # noqa: ARG002
        """Give the bits of an input address, in place, that say nothing of where it leads; 0 where all of them do."""
        return 0

    def handed_down(self, entry: Entry) -> int:  # noqa: ARG002
        """Give, as bits that may be joined by OR, what a table imposes on everything below it."""
        return 0

    def contiguous_entries(self, level: Level) -> int:  # noqa: ARG002
        """Give how many entries a contiguous run has at this level; 1 where there is no such thing."""
        return 1


@dataclass(frozen=True, slots=True)
class Walk:
    """Every descriptor met on the way from an input address to its outcome.

    `refusal` is this stage's own, or that of a descriptor fetch (`fetch`) through the stage below.  `final` is the walk
    of this stage's output through the stage below; None where there is none, or no output.  Where a soft-invalid entry
    refuses, at whichever stage, `kept` is the walk as if every such entry were valid: what lies below, and nothing that
    hardware would do; None also where that cannot be read.
    """

    input: int
    regime: Regime
    steps: tuple[Step, ...]
    refusal: Refusal | None
    fetch: Fetch | None = None
    final: Walk | None = None
    kept: Walk | None = None

    @property
    def leaf(self) -> Step | None:
        """The block or page this stage's walk ended in, mapped or not."""
        return self.steps[-1] if self.steps and self.steps[-1].is_leaf else None

    @property
    def destination(self) -> Mapped | None:
        """Where this stage's leaf points, even when its access flag refuses; None where there is no leaf to ask.

        With a stage below this is an intermediate physical address.
        """
        if self.leaf is None and (self.refusal is not None or self.regime.levels):
            return None
        return self.regime.output(self.input, self.leaf)

    @property
    def refused(self) -> Refusal | None:
        """What refuses to translate, at whichever stage."""
        return self.refusal or (self.final.refusal if self.final else None)

    @property
    def outcome(self) -> Mapped | Fault:
        if self.refused is not None:
            return self.refused.fault
        destination = self.destination
        assert destination is not None, "a walk without a refusal ends in a leaf"
        if self.final is None:
            return destination
        beyond = self.final.outcome
        assert isinstance(beyond, Mapped), "what refuses is in `refused`"
        return Mapped(beyond.address, min(beyond.size_bytes, destination.size_bytes))

    @property
    def attributes(self) -> Attributes | None:
        return self.regime.attributes(self.steps, self.final)


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


@dataclass(frozen=True, slots=True)
class Run:
    """A maximal range of input addresses that leaves of one kind and size map, one after another.

    `output` is where `first` leads; the next leaf leads `stride_bytes` further: the leaf's own size, or 0 where every
    leaf of the run leads to the same place.  It is None where the stage below has nothing there; `ipa` is then, and
    wherever there is a stage below, what this stage gives.  `descriptor_pa` is where the first leaf's descriptor is.
    """

    first: int
    size_bytes: int
    output: int | None
    leaf_bytes: int
    stride_bytes: int
    kind: LeafKind
    descriptor_pa: int
    ipa: int | None = None

    @property
    def last(self) -> int:
        return self.first + self.size_bytes - 1

    @property
    def attributes(self) -> Attributes:
        return self.kind.attributes

    @property
    def fault(self) -> Fault | None:
        return self.kind.fault

    @property
    def leaves(self) -> int:
        return self.size_bytes // self.leaf_bytes

    def offset_of(self, address: int) -> int:
        """Give how far beyond `output` an address within the run leads."""
        offset = address - self.first
        return offset if self.stride_bytes else offset % self.leaf_bytes


@dataclass(frozen=True, slots=True)
class Hole:
    """A part of the input address space whose table could not be read: neither mapped nor unmapped.

    `refusal` is set where it is the stage below that refuses the table.
    """

    first: int
    size_bytes: int
    pa: int
    why: str
    refusal: Refusal | None = None


class AddressMeaning(enum.Enum):
    """What the fault address register holds."""

    UNKNOWN = "nothing: this class of exception leaves it UNKNOWN"
    INVALID = "nothing: the syndrome says that it is not valid"
    ACCESSED = "the address that was accessed"
    FETCHED = "the address that was fetched from"
    MISALIGNED_PC = "the pc that is not aligned"
    WATCHED = "an address that was accessed, at or near the one watched"
    IMPRECISE = "an address in the same granule as the one accessed"

    @property
    def valid(self) -> bool:
        return self not in (AddressMeaning.UNKNOWN, AddressMeaning.INVALID)


class Return(enum.Enum):
    """Where the saved pc of an exception leads."""

    THIS_INSTRUCTION = "the instruction that raised it"
    NEXT_INSTRUCTION = "the instruction after it"
    NEXT_UNLESS_TRAPPED = "the instruction after it; the instruction itself if it was trapped"
    INTERRUPTED = "the instruction that would have come next"
    UNKNOWN = "not said for this class"


@dataclass(frozen=True, slots=True)
class Brief:
    """The fields that say most of a register: `always`, and those that say something while they are not 0."""

    always: tuple[str, ...]
    if_set: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a faulting load or store would have moved: bytes between memory and one register.

    `signed` loads extend the sign; `ordered` ones have acquire or release semantics.
    """

    size_bytes: int
    register: str
    signed: bool
    ordered: bool


@dataclass(frozen=True, slots=True)
class Syndrome:
    """A decoded exception syndrome, and what follows from it alone.

    `word` accounts for every bit exactly once.  `fault`, `access_kind` and `status` are None where the exception is
    not about memory; `from_lower` says whether it was taken from a lower exception level, None where the class does not
    tell.  `address` is what the fault address register holds; `ipa_valid` says whether the register for intermediate
    physical addresses holds one, if this is a fault of stage 2.  `instruction` is the assembler's text as far as the
    syndrome tells it, and `target` the system register or System instruction in it: empty where there is none.
    `other_rules` are the bits that say that a rule refused which `check` does not replay.
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

    @property
    def address_valid(self) -> bool:
        return self.address.valid
