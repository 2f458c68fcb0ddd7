"""What a search for root tables asks of an architecture: how tables look in memory, with no register to go by.

A table's `height` counts the levels below it: a table of the last level has height 0, however the architecture numbers
its levels.
"""

from __future__ import annotations

import abc
import enum
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gdbtools.addresses import PA
from gdbtools.arch.model import Derived, Privilege, Regime
from gdbtools.wording import name_of

ENTRY_BITS = 3
"""log2 of a descriptor's 8 bytes: the usual one."""


class Owner(enum.Enum):
    """Whose address space a root is, as far as the leaves below it tell."""

    KERNEL = enum.auto()
    USER = enum.auto()
    HYPERVISOR = enum.auto()
    """A privileged level that shares its tables with nobody."""
    VIRTUAL_MACHINE = enum.auto()
    """The second stage, which gives a virtual machine its memory."""

    @property
    def label(self) -> str:
        return name_of(self)


_CODES: Final[Mapping[int, str]] = {4: "I", 8: "Q"}


def words(data: bytes, word_bytes: int, byte_order: Literal["little", "big"]) -> tuple[int, ...]:
    """Return the words of 4 or 8 bytes that follow each other in `data`."""
    order = "<" if byte_order == "little" else ">"
    return struct.unpack(f"{order}{len(data) // word_bytes}{_CODES[word_bytes]}", data)


@dataclass(frozen=True, slots=True)
class TableForm:
    """Tables of one size: 2^granule_bits bytes, so aligned, and a page of as much is what a last-level entry maps.

    `block_heights` are where a larger leaf may stand; no root resolves more than `input_bits`, and none is indexed by
    more than `concatenated_bits` above a whole table's.  An entry has 2^entry_bits bytes, in `byte_order`.
    """

    granule_bits: int
    block_heights: tuple[int, ...]
    input_bits: int
    concatenated_bits: int = 0
    entry_bits: int = ENTRY_BITS
    byte_order: Literal["little", "big"] = "little"

    @property
    def entry_bytes(self) -> int:
        return 1 << self.entry_bits

    def words(self, entries: bytes) -> tuple[int, ...]:
        """Return the entries of (a part of) a table, as they are."""
        return words(entries, self.entry_bytes, self.byte_order)

    @property
    def table_bytes(self) -> int:
        return 1 << self.granule_bits

    @property
    def index_bits(self) -> int:
        return self.granule_bits - self.entry_bits

    def covered_bits(self, height: int) -> int:
        """Return how many bits of address one entry of a table at this height covers."""
        return self.granule_bits + self.index_bits * height

    @property
    def heights(self) -> range:
        """Every height that a table may have; a root is never of the last level."""
        return range(-(-(self.input_bits - self.granule_bits) // self.index_bits))

    def root_bits(self, height: int) -> int:
        """Return by how many bits of address the largest root at this height is indexed."""
        return min(self.index_bits, self.input_bits - self.covered_bits(height))


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a table, before anybody knows its level.

    `tables` are where its entries would lead if they led to tables, and `kinds` what else is in those; `blocks` are the
    output addresses of those that can only be larger leaves, or-ed together, None where there is none: it tells how
    they are aligned.
    """

    valid: int
    first: int
    last: int
    tables: frozenset[int]
    kinds: frozenset[int]
    blocks: int | None

    @classmethod
    def of(
        cls,
        words: Sequence[int],
        valid: Sequence[int],
        tables: Iterable[int],
        kinds: Iterable[int],
        blocks: int | None,
    ) -> Contents:
        """Return what is in a table of these entries, of which some are `valid`."""
        last = len(words) - 1 - words[::-1].index(valid[-1])
        return cls(len(valid), words.index(valid[0]), last, frozenset(tables), frozenset(kinds), blocks)

    def and_then(self, more: Contents, entries: int) -> Contents:
        """Join what follows after `entries` entries of the same table."""
        if not more.valid:
            return self
        blocks = [each for each in (self.blocks, more.blocks) if each is not None]
        return Contents(
            valid=self.valid + more.valid,
            first=self.first if self.valid else more.first + entries,
            last=more.last + entries,
            tables=self.tables | more.tables,
            kinds=self.kinds | more.kinds,
            blocks=blocks[0] | blocks[-1] if blocks else None,
        )


NOTHING: Final = Contents(0, 0, 0, frozenset(), frozenset(), None)
"""What is in an empty table."""


@dataclass(frozen=True, slots=True)
class RootPlace:
    """A root in a register: what would have to be in there for the tables to be in use.

    `upper` says that it translates the upper end of the address space.  `below` is the register of the second stage
    that its regime may go through; empty where there is none.
    """

    register: str
    regime: str
    upper: bool
    root: PA
    form: TableForm
    height: int
    input_bits: int
    below: str = ""

    @property
    def first(self) -> int:
        """The lowest address of its range."""
        return (1 << 64) - (1 << self.input_bits) if self.upper else 0

    @property
    def root_bytes(self) -> int:
        return 1 << self.input_bits - self.form.covered_bits(self.height) + self.form.entry_bits


@dataclass(frozen=True, slots=True)
class Leaves:
    """Leaves of one kind: a descriptor of one of them, how many there are, and how much they map."""

    descriptor: int
    count: int
    size_bytes: int


class TableHeuristics(abc.ABC):
    """What translation tables of an architecture look like.

    `forms` are the sizes of table there are, and `has_small_roots` says whether a root may be less than one; an address
    from `upper_first` on is one of the upper half, whatever its size: a pointer has `pointer_bytes`, in the byte order
    of the first form.  `plain_kind` is an entry that leads to a table and says nothing more, without the address.
    `stack` is the register that points to the stack.  `halves_share_root` says that one root has a process's addresses
    in its lower half and the kernel's in its upper one.
    """

    forms: tuple[TableForm, ...]
    has_small_roots: bool = True
    halves_share_root: bool = False
    upper_first: int
    pointer_bytes: int = 8
    plain_kind: int
    stack: str

    @abc.abstractmethod
    def is_table(self, page: bytes) -> bool:
        """Return whether a page may be (a part of) a table: has a valid entry, and none that nobody would write."""

    @abc.abstractmethod
    def contents(self, entries: bytes) -> Contents:
        """Return what is in (a part of) a table."""

    def may_be_last(self, contents: Contents) -> bool:
        """Return whether a table may be of the last level: where larger leaves differ from pages, it has none."""
        return contents.blocks is None

    def say_tables(self, entries: Sequence[int]) -> bool:  # noqa: ARG002
        """Return whether most entries say themselves that they lead to tables; here a page would say just the same."""
        return False

    @abc.abstractmethod
    def owner(self, leaves: Sequence[Leaves]) -> Owner:
        """Return whose leaves these are."""

    @abc.abstractmethod
    def places(
        self, root: PA, form: TableForm, height: int, owner: Owner, level: Privilege | None
    ) -> Sequence[RootPlace]:
        """Return where a root may be held, in every size, the usual first.

        `level` is the level of privilege that a CPU was found at, None where nobody knows.
        """

    @abc.abstractmethod
    def registers(self, places: Sequence[RootPlace]) -> Derived:
        """Return the registers that hold these roots, at most one of each register."""

    @abc.abstractmethod
    def regime(self, place: RootPlace) -> Regime:
        """Return the range of a regime that a root would translate, were it held there."""

    @abc.abstractmethod
    def has_vectors(self, code: bytes) -> bool:
        """Return whether there is something in executable memory that looks like exception vectors."""
