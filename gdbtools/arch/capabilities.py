"""What the commands ask of an architecture: each has one object that answers."""

from __future__ import annotations

import abc
import copy
import enum
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from gdbtools.arch.model import Agreement, EntryNeed, ExceptionRecord, RecordNames, Shown, VectorEntry

if TYPE_CHECKING:
    from typing_extensions import Self

    from gdbtools.arch.gadgets import Borrowing, FieldChange
    from gdbtools.arch.identity import Identity
    from gdbtools.arch.instruction_effects import Recent
    from gdbtools.arch.isolation import Switch, View
    from gdbtools.arch.model import (
        Access,
        AccessKind,
        Brief,
        Derived,
        Fault,
        Privilege,
        ReadRegister,
        Refusal,
        Regime,
        Syndrome,
        Walk,
    )
    from gdbtools.arch.table_heuristics import Appearance
    from gdbtools.bits import FieldValue, Word


class DirtyConvention(enum.Enum):
    """How a guest remembers that a page was written: the values of `set mmu-dirty`."""

    NONE = "none"
    BIT55 = "bit55"
    BIT56 = "bit56"
    BIT57 = "bit57"
    BIT58 = "bit58"
    DBM = "dbm"

    @property
    def bit(self) -> int | None:
        """The software bit of a leaf that says so; None where there is none."""
        return int(self.value.removeprefix("bit")) if self.value.startswith("bit") else None


class Architecture(abc.ABC):
    """What the commands ask of an architecture.

    `dirty` is the convention by which its stage 1 regimes tell a dirty leaf: it is a guest's, and somebody has to state
    it (`reading_dirty`).  What hardware records, DBM with AP[2], is always seen.  `registers` are the declared ones;
    `principal` names those of translation and of faults, in order, and `brief_fields` has, by a register's name without
    its level, what says most of it.  `leaves` are the layouts that a leaf descriptor may have.
    """

    identity: Identity
    dirty: DirtyConvention = DirtyConvention.NONE
    registers: Mapping[str, type[Word]]
    principal: tuple[str, ...]
    brief_fields: Mapping[str, Brief]
    leaves: tuple[type[Word], ...]
    regime_names: tuple[str, ...]
    privileges: tuple[Privilege, ...]
    record_names: RecordNames
    pc: str
    general: tuple[str, ...]
    borrowing: Borrowing
    appearance: Appearance

    @property
    def name(self) -> str:
        return self.identity.name

    def reading_dirty(self, convention: DirtyConvention) -> Self:
        """Return this architecture for a guest of that convention."""
        if convention is self.dirty:
            return self
        other = copy.copy(self)
        other.dirty = convention
        return other

    @abc.abstractmethod
    def word(self, name: str, register: ReadRegister) -> Word:
        """Give a declared register as the word it is here: some are laid out by what another says."""

    @abc.abstractmethod
    def stand_in(self, name: str) -> Word | None:
        """Return what a declared register that the source lacks is taken for; None where nothing stands in for it."""

    @abc.abstractmethod
    def register_name(self, text: str, level: int) -> str | None:
        """Return the register that a name in any case stands for, of `level` where it says none, or None."""

    @abc.abstractmethod
    def register_names(self) -> Collection[str]:
        """Return every name that `register_name` knows."""

    @abc.abstractmethod
    def implied(self, register: ReadRegister, given: Collection[str]) -> Derived:
        """Return registers that follow from those that somebody wrote down, `given`, where a source lacks them."""

    @abc.abstractmethod
    def laid_out_by(self, name: str) -> tuple[str, str] | None:
        """Return the register and its field that decide how another is laid out; None where its layout is fixed."""

    @abc.abstractmethod
    def in_force(self, register: ReadRegister) -> Sequence[str]:
        """Return the names of the registers that translate now, and of those that hold the last exception."""

    @abc.abstractmethod
    def bare_regime(self, granule: str, name: str, level: int | None) -> Regime:
        """Return a regime of that name of which nothing is known but its granule: `4k`, `16k` or `64k`.

        It has `level`, if the architecture gives that granule one.
        """

    @abc.abstractmethod
    def privilege(self, register: ReadRegister) -> Privilege:
        """Return the level of privilege that the CPU is at."""

    @abc.abstractmethod
    def state(self, register: ReadRegister) -> int:
        """Give the current processor state word, as `check` wants it."""

    @abc.abstractmethod
    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        """Give every range of the regime of that name (None: the one in force), in the order of their addresses."""

    @abc.abstractmethod
    def regime_for(self, register: ReadRegister, address: int, name: str | None = None) -> Regime:
        """Give the range that translates `address` in the regime of that name (None: the one in force)."""

    @abc.abstractmethod
    def loaded(self, register: ReadRegister) -> Sequence[str]:
        """Return the names of regimes whose tables the registers hold although no translation in force uses them.

        At a hypervisor's stop those are its guest's.
        """

    @abc.abstractmethod
    def isolated_range(self, register: ReadRegister, name: str | None = None) -> Regime | None:
        """Return the range of the regime of that name (None: the one in force) that may be a reduced one.

        That is one which a kernel shares with nobody and which its vectors lie in; None where there is none.
        """

    @abc.abstractmethod
    def root_switch(self, register: ReadRegister, view: View, name: str | None = None) -> Switch | None:
        """Return what the code at the vectors changes that space into, None where it stays in it.

        Raises `Unavailable` and `Unreadable` where the code is not there to be followed.
        """

    @abc.abstractmethod
    def usual_switches(self, register: ReadRegister, name: str | None = None) -> Sequence[Switch]:
        """Return where operating systems keep the full root of a reduced one, for vectors that cannot be read."""

    @abc.abstractmethod
    def usual_reduced(self, register: ReadRegister) -> Sequence[Mapping[str, int]]:
        """Return registers that lead to where operating systems keep the reduced root of the full one in force."""

    @abc.abstractmethod
    def ways_in(
        self, register: ReadRegister, reduced: Mapping[str, int], view: View, first: int, size_bytes: int
    ) -> Mapping[int, str]:
        """Return the vector entries in a part of a reduced space whose code changes to the root in force."""

    @abc.abstractmethod
    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        """Say whether a walk's outcome lets `access` happen: None, or what refuses it."""

    @abc.abstractmethod
    def shown_by(
        self, fault: Fault, walk: Walk, access: Access, state: int | None, register: ReadRegister
    ) -> Shown | None:
        """Return what a fault shows of a control that the source lacks; None where no value of one explains it.

        `state` is None where the saved processor state is not known.
        """

    @abc.abstractmethod
    def may_refuse(self, walk: Walk, access: Access) -> Refusal | None:
        """Return why a CPU may refuse what `check` allows, where the architecture leaves that to it."""

    @abc.abstractmethod
    def maintenance(self, instruction: int) -> AccessKind:
        """Return which kind of cache maintenance an instruction is: MAINTENANCE for the kind that needs least."""

    @abc.abstractmethod
    def is_unprivileged(self, instruction: int) -> bool:
        """Say whether an instruction's loads and stores are checked as if a user made them."""

    @abc.abstractmethod
    def recent(
        self, words: Sequence[int], end: int, register: ReadRegister, regime: str, about: Walk
    ) -> Sequence[Recent]:
        """Give what the code that ends at the address `end` did for the translation `about`, the latest first.

        `words` are its instructions in order; `regime` names the one that they run in.
        """

    @abc.abstractmethod
    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:
        """Return the levels of privilege that run in a regime, the lowest first."""

    @abc.abstractmethod
    def syndrome_of(self, exception_class: int, iss: int) -> int | None:
        """Return the syndrome of a class and what is specific to it; None where one of them is too large."""

    @abc.abstractmethod
    def decode_syndrome(self, value: int) -> Syndrome:
        """Decode a syndrome; never refuses a value."""

    @abc.abstractmethod
    def status(self, fault: Fault) -> int | None:
        """Give a fault's own status code, None where it has none."""

    @abc.abstractmethod
    def syndrome(self, register: ReadRegister) -> Syndrome:
        """Decode the syndrome of the last exception, reading no other register."""

    @abc.abstractmethod
    def context(self, register: ReadRegister) -> tuple[int, ...]:
        """Give what identifies an address space and its vectors: equal contexts map the same code."""

    @abc.abstractmethod
    def exception(self, register: ReadRegister) -> ExceptionRecord:
        """Join the registers that describe the last exception."""

    @abc.abstractmethod
    def raised_at(self, exception: ExceptionRecord) -> int | None:
        """Return the address of the instruction that an exception is about, if it is about one; None if not known."""

    @abc.abstractmethod
    def fits(
        self, exception: ExceptionRecord, instruction: int | None, register: ReadRegister | None = None
    ) -> Agreement:
        """Return whether an exception's syndrome fits the rest of its record, and the instruction at `raised_at`.

        `instruction` is None where it cannot be read; `register` is given where the general registers are still its.
        """

    @abc.abstractmethod
    def linux_registers(self, info: Mapping[str, str], el: int) -> Derived:
        """Derive registers from a Linux kernel's VMCOREINFO, `el` being the highest level that its CPUs were at.

        Raises `Unavailable` where it does not say enough.
        """

    @abc.abstractmethod
    def vectors(self, register: ReadRegister) -> Mapping[int, str]:
        """Give the addresses where synchronous exceptions are taken, with the manual's name for each entry."""

    @abc.abstractmethod
    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        """Return the vector entry that pc stands at, None where it stands at none."""

    @abc.abstractmethod
    def vectors_for(self, register: ReadRegister, regime: str) -> Mapping[int, str]:
        """Return where the faults of the regime of that name are taken, at whichever level the CPU is."""

    @abc.abstractmethod
    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:
        """Return the register that says where these vectors are; without a name, those in force."""

    @abc.abstractmethod
    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        """Say whether an exception is a fault of the regime of that name."""

    def entry(self, register: ReadRegister) -> str:
        """Name the vector entry that pc stands at, if its exceptions have a syndrome; empty where it stands at none."""
        found = self.vector_entry(register)
        return "" if found is None or found.interrupt else found.name

    @abc.abstractmethod
    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:
        """Say why an exception cannot have been taken at a vector entry; empty where nothing speaks against it."""

    @abc.abstractmethod
    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:
        """Return the name of the regime that translates for a level of privilege."""

    @abc.abstractmethod
    def convention(self, found: Syndrome, register: ReadRegister | None = None) -> str:
        """Say what a call or a breakpoint instruction is for, by whose convention; empty where that is not known.

        `register` is given where the general registers are still those of the instruction.
        """

    @abc.abstractmethod
    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:
        """Give the register fields that, as they are now, trap the instruction of this exception: (register, field)."""

    @abc.abstractmethod
    def repair_access_flag(self, leaf: Word, written: bool, convention: DirtyConvention) -> Word:
        """Give the leaf as the guest's handler would leave it: accessed and, if `written`, dirty."""

    @abc.abstractmethod
    def repair_dirty_state(self, leaf: Word, convention: DirtyConvention) -> Word | None:
        """Give the leaf as hardware, or the guest's handler, would leave it after the first write.

        None for a leaf that is not writable-but-clean: what refuses a write to it is meant.
        """

    @abc.abstractmethod
    def access_flag_controls(self, register: ReadRegister, regime: str | None) -> Sequence[tuple[str, FieldValue]]:
        """Give the register fields that decide whether hardware sets the access flag in a regime: (register, field).

        The regime may be a second stage; None is the one in force.
        """

    @abc.abstractmethod
    def entry_needs(self, register: ReadRegister) -> Sequence[EntryNeed]:
        """Return what taking an exception touches, or may touch, before its state is saved: vectors, stack, and more.

        A fault on any of it loses the exception that was being taken, whoever repairs it.
        """

    @abc.abstractmethod
    def changes(self, before: Word, after: Word, cached: bool, register: ReadRegister) -> Sequence[FieldChange]:
        """Give the fields in which two descriptors of one layout differ, and what changing each in place needs.

        `cached` says whether a TLB may hold `before`.
        """

    @abc.abstractmethod
    def broken(self, descriptor: Word) -> Word:
        """Give the descriptor made invalid, with everything else of it kept: the break of break-before-make."""

    @abc.abstractmethod
    def clear_access_flag(self, leaf: Word) -> Word:
        """Give the leaf as if it had not been accessed."""
