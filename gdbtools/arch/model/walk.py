"""A translation regime, and the walk of one address through its tables, with every descriptor that was met."""

from __future__ import annotations

import abc
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Generic, Literal, TypeVar, cast

from gdbtools.addresses import PA, Input, Output
from gdbtools.arch.model.access import Privilege, Rights
from gdbtools.arch.model.fault import Cause, Fault, Refusal
from gdbtools.bits import Word
from gdbtools.wording import hyphenated

Read = Callable[[PA, int], bytes]
"""Return `size_bytes` of physical memory at `pa`, or raise `Unreadable`: what a walk is handed."""

Expect = Callable[[Sequence[tuple[PA, int]]], None]
"""Hear what is going to be read soon, (physical address, size in bytes): a source may fetch it in one piece."""


def expecting(read: Read) -> Expect | None:
    """Return how to say what is going to be read, of a `read` that has a way to."""
    found: Expect | None = getattr(read, "expect", None)
    return found


To = TypeVar("To", bound=Output, covariant=True)


@dataclass(frozen=True, slots=True)
class Mapped(Generic[To]):
    """Where an address leads: the output address, and the size of the block or page that says so."""

    address: To
    size_bytes: int


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
        return hyphenated(self)

    @property
    def is_leaf(self) -> bool:
        return self in (EntryKind.BLOCK, EntryKind.PAGE)

    @property
    def is_used(self) -> bool:
        """Whether hardware goes by an entry of this kind."""
        return self is EntryKind.TABLE or self.is_leaf


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
    valid bit set, of the same word and for the same cause.  `span_bytes` is how much identical entries map together,
    one run from `address` on, where that is more than one entry's; 0 elsewhere.
    """

    kind: EntryKind
    word: Word
    address: Output
    cause: Cause | None = None
    kept: Entry | None = None
    span_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One descriptor met on a walk: where it was, and what it said.

    `via` is the stage 2 walk that fetched it, whose input is its intermediate physical address; None where there is no
    second stage.
    """

    level: Level
    index: int
    pa: PA
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


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the whole path gives to a mapping, hierarchical bits included.

    `memory` names the memory type; `rights` maps a level of privilege to what it may do; `dirty` is None where the
    regime keeps no dirty state of its own.
    """

    memory: str
    shareability: str
    rights: Mapping[Privilege, Rights]
    accessed: bool
    dirty: bool | None
    is_global: bool
    contiguous: bool
    guarded: bool = False
    """Indirect branches into it have to land on a marked instruction."""
    non_secure: bool = False
    device: bool = False
    """Whether an access may have effects: it is a device's, not memory."""
    physical_type: bool = False
    """Whether the tables leave it to the physical memory what that is: a device's, too."""
    unshared: bool = False
    """Whether it is ordinary memory that not all CPUs are said to share, so that `shareability` is worth a word."""


class Regime(abc.ABC):
    """One range of a translation regime, built from registers by a pure function.

    `levels` runs from the root to the last level; an MMU that is off is a regime with no levels.  `first`..`last` are
    the input addresses it admits, `output_last` the highest output.  `below` is the next stage, which translates this
    one's outputs and the addresses of its tables.  `assumed` says, in words, what stands in for registers that the
    source lacks; `notes` what is reserved or CONSTRAINED UNPREDICTABLE in the ones it has, and how it was read.
    `own_name` is its name without that of the stage below, `regime_name` that of the regime it is a range of, and
    `short_name` what tells it from the other ranges: a subclass has the first, or the two that it is made of.
    """

    stage: int
    root: Output
    levels: tuple[Level, ...]
    first: Input
    last: Input
    output_last: Output
    entry_bytes: int = 8
    below: Regime | None = None
    has_soft_invalid: bool = False
    """Whether entries are met here that software made invalid by their valid bit alone, meaning to set it again."""
    assumed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    byte_order: Literal["little", "big"] = "little"
    called_pages: ClassVar[str] = "pages"
    """What the smallest unit of translation is called, behind its size."""

    @cached_property
    def name(self) -> str:
        return f"{self.own_name} through {self.below.name}" if self.below else self.own_name

    def alone(self) -> Regime:
        """Return it with no stage below: of tables whose outputs the stage below is not about."""
        return self if self.below is None else replace(self, below=None)  # type: ignore[type-var]

    @property
    def own_name(self) -> str:
        return f"{self.regime_name}, {self.short_name}"

    @property
    def regime_name(self) -> str:
        return self.own_name

    @property
    def short_name(self) -> str:
        return self.own_name

    @property
    def stage_label(self) -> str:
        """What its stage is called within a sentence."""
        return f"stage {self.stage}"

    @property
    def input_label(self) -> str:
        """What its input addresses are called for short."""
        return "IPA" if self.stage == 2 else "VA"

    @property
    def root_register(self) -> str:
        """The register that has the root; by default the range is called as that is."""
        return self.short_name

    @property
    def may_be_valid(self) -> int:
        """Bits of which an entry has at least one, if it is valid, or soft-invalid where such are met.

        By default that is the lowest.
        """
        return (1 << 8 * self.entry_bytes) - 1 if self.has_soft_invalid else 1

    @abc.abstractmethod
    def admit(self, address: Input) -> Refusal | None:
        """Refuse an input address before any table is read."""

    @abc.abstractmethod
    def decode(self, raw: bytes, level: Level) -> Entry:
        """Return what a raw descriptor is at this level.  Never refuses."""

    @abc.abstractmethod
    def accept(self, step: Step) -> Refusal | None:
        """Refuse an entry: invalid, an address out of range, or an access flag that software has to set."""

    @abc.abstractmethod
    def attributes(self, steps: tuple[Step, ...], final: Walk | None = None) -> Attributes | None:
        """Return what a path grants; None unless it ends in a block or a page, or the MMU is off.

        With `final`, the walk of its output through the stage below, what both stages grant.
        """

    def translated(self, address: Input) -> Input:
        """Return the address that is translated for an input address that has bits which are no part of it."""
        return address

    def read_refused(self, pa: PA, size_bytes: int, level: Level) -> Refusal | None:  # noqa: ARG002
        """Refuse the reading of entries, whatever they say: physical memory is protected from the walk itself."""
        return None

    def fetch_refused(self, via: Walk) -> Refusal | None:
        """Return what refuses to fetch a descriptor through the stage below: the walk's refusal, or a permission."""
        return via.refusal

    def output(self, address: Input, leaf: Step | None) -> Mapped[Output]:
        """Return where `address` leads through `leaf`; without levels, to itself."""
        if leaf is None:
            return Mapped(cast(Output, address & self.last), self.last + 1)
        size_bytes = leaf.entry.span_bytes or leaf.level.size_bytes
        return Mapped(cast(Output, leaf.entry.address | address & (size_bytes - 1)), size_bytes)

    def stride(self, level: Level) -> int:
        """Return by how much two neighbouring descriptors of a run that is contiguous in its output differ."""
        return level.size_bytes

    def linear_bits(self, level: Level) -> int:  # noqa: ARG002
        """Return the bits of a leaf descriptor at this level that count up along such a run; the rest is its kind."""
        return 0

    def table_bits(self) -> int:
        """Return the bits of a table descriptor that, times `table_scale`, are the next table's address."""
        return 0

    @property
    def table_scale(self) -> int:
        return 1

    def tag_of(self, address: Input) -> int:  # noqa: ARG002
        """Return the bits of an input address, in place, that say nothing of where it leads; 0 where all of them do."""
        return 0

    def handed_down(self, entry: Entry) -> int:  # noqa: ARG002
        """Return, as bits that may be joined by OR, what a table imposes on everything below it."""
        return 0

    def contiguous_entries(self, level: Level) -> int:  # noqa: ARG002
        """Return how many entries a contiguous run has at this level; 1 where there is no such thing."""
        return 1


@dataclass(frozen=True, slots=True)
class Walk:
    """Every descriptor met on the way from an input address to its outcome.

    `refusal` is this stage's own, or that of a descriptor fetch (`fetch`) through the stage below.  `final` is the walk
    of this stage's output through the stage below; None where there is none, or no output.  Where a soft-invalid entry
    refuses, at whichever stage, `kept` is the walk as if every such entry were valid: what lies below, and nothing that
    hardware would do; None also where that cannot be read.
    """

    input: Input
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
    def below(self) -> Walk | None:
        """The last walk through the stage below: of the descriptor that it refused, else of the output."""
        return self.fetch.via if self.fetch else self.final

    @property
    def destination(self) -> Mapped[Output] | None:
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
    def outcome(self) -> Mapped[PA] | Fault:
        if self.refused is not None:
            return self.refused.fault
        destination = self.destination
        assert destination is not None, "a walk without a refusal ends in a leaf"
        if self.final is None:
            return cast("Mapped[PA]", destination)  # nothing translates it further
        beyond = self.final.outcome
        assert isinstance(beyond, Mapped), "what refuses is in `refused`"
        return Mapped(beyond.address, min(beyond.size_bytes, destination.size_bytes))

    @property
    def attributes(self) -> Attributes | None:
        return self.regime.attributes(self.steps, self.final)
