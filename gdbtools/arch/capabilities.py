"""What the commands ask of an architecture: each has one object that answers."""

from __future__ import annotations

import abc
import copy
import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from gdbtools.errors import Unavailable, UsageError

if TYPE_CHECKING:
    from typing_extensions import Self

    from gdbtools.addresses import VA, Input
    from gdbtools.arch.exceptions import Exceptions
    from gdbtools.arch.gadgets import FieldChange, Gadgets, Need
    from gdbtools.arch.guests import GuestRegisters
    from gdbtools.arch.hardware_flags import HardwareFlags
    from gdbtools.arch.identity import Identity
    from gdbtools.arch.isolation import Switch, View
    from gdbtools.arch.model import (
        Access,
        AccessKind,
        Brief,
        Derived,
        EntryNeed,
        Fault,
        Privilege,
        ReadRegister,
        Refusal,
        Regime,
        Stub,
        Walk,
    )
    from gdbtools.arch.other_state import OtherState
    from gdbtools.arch.table_heuristics import TableHeuristics
    from gdbtools.bits import FieldValue, Word


class DirtyConvention(enum.Enum):
    """How a guest may remember that a page was written: the values of `set mmu-dirty`.

    They are the bits that the descriptors leave to software, and what hardware does; which of them a system uses,
    `systems` knows.
    """

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


class Absent:
    """A part that an architecture lacks: whoever asks for it is told so."""

    def __init__(self, said: str) -> None:
        self._said = said

    def __get__(self, instance: Architecture | None, owner: type) -> Self:
        if instance is None:
            return self
        raise Unavailable(f"for {instance.identity.title} no {self._said} are known here")


def absent(said: str) -> Any:
    """Return what stands for a part that is not there."""
    return Absent(said)


class Deferred:
    """A part that is imported when it is first asked for: most answers ask for few of them."""

    def __init__(self, load: Callable[[], object]) -> None:
        self._load = cache(load)

    def __get__(self, instance: Architecture | None, owner: type) -> object:
        return self if instance is None else self._load()


def part(load: Callable[[], object]) -> Any:
    """Return what stands for a part until it is asked for, which `load` then imports and makes."""
    return Deferred(load)


class PageTableIsolation(abc.ABC):
    """How a kernel hides from its processes: a reduced address space, and what changes it into the full one.

    `few` is how many leaves a reduced range has at most.
    """

    few = 16
    """A trampoline and its data."""

    @abc.abstractmethod
    def range(self, register: ReadRegister, name: str | None = None) -> Regime | None:
        """Return the range of the regime of that name (None: the one in force) that may be a reduced one.

        That is one which a kernel shares with nobody and which its vectors lie in; None where there is none.
        """

    @abc.abstractmethod
    def switch(self, register: ReadRegister, view: View, name: str | None = None) -> Switch | None:
        """Return what the code at the vectors changes that space into, None where it stays in it.

        Raises `Unavailable` and `Unreadable` where the code is not there to be followed.
        """

    @abc.abstractmethod
    def ways_in(
        self, register: ReadRegister, reduced: Mapping[str, int], view: View, first: VA, size_bytes: int
    ) -> Mapping[VA, str]:
        """Return the vector entries in a part of a reduced space whose code changes to the root in force."""


class DescriptorRepair(abc.ABC):
    """What may be changed in a live entry, and what that needs.

    `flag_control` is what has hardware set access flags, as the manual writes it.  `flag_need` is what setting the flag
    of a leaf needs where TLBs may hold it, `flag_need_why` why.  `flags_never_fault` says that hardware sets them
    whatever software wants, empty where software may have to.
    """

    flag_control: str
    flag_need: Need
    flag_need_why: str
    flags_never_fault: str = ""

    @abc.abstractmethod
    def set_access_flag(self, leaf: Word, written: bool, convention: DirtyConvention) -> Word:
        """Return the leaf as the guest's handler would leave it: accessed and, if `written`, dirty."""

    @abc.abstractmethod
    def set_dirty_state(self, leaf: Word, convention: DirtyConvention) -> Word | None:
        """Return the leaf as hardware, or the guest's handler, would leave it after the first write.

        None for a leaf that is not writable-but-clean: what refuses a write to it is meant.
        """

    @abc.abstractmethod
    def clear_access_flag(self, leaf: Word) -> Word:
        """Return the leaf as if it had not been accessed."""

    @abc.abstractmethod
    def broken(self, descriptor: Word) -> Word:
        """Return the descriptor made invalid, with everything else of it kept: the break of break-before-make."""

    @abc.abstractmethod
    def changes(self, before: Word, after: Word, cached: bool, register: ReadRegister) -> Sequence[FieldChange]:
        """Return the fields in which two descriptors of one layout differ, and what changing each in place needs.

        `cached` says whether a TLB may hold `before`.
        """

    @abc.abstractmethod
    def access_flag_controls(self, register: ReadRegister, regime: str | None) -> Sequence[tuple[str, FieldValue]]:
        """Return the register fields that decide whether hardware sets the access flag in a regime: (register, field).

        The first is how software asks for it, and the others have to allow it; none is 0 where hardware does.  The
        regime may be a second stage; None is the one in force.
        """

    @abc.abstractmethod
    def entry_needs(self, register: ReadRegister) -> Sequence[EntryNeed]:
        """Return what taking an exception touches, or may touch, before its state is saved: vectors, stack, and more.

        A fault on any of it loses the exception that was being taken, whoever repairs it.
        """


class Architecture(abc.ABC):
    """What is known of an architecture: its translation, and those of the other parts that it has.

    `dirty` is the convention by which its stage 1 regimes tell a dirty leaf: it is a guest's, and somebody has to state
    it (`reading_dirty`); what hardware records is always seen.  `registers` are the declared ones; `principal` names
    those of translation and of faults, in order, and `brief_fields` has, by a register's name without its level, what
    says most of it.  `leaves` are the layouts that a leaf descriptor may have, `memory_types` the names that its memory
    may have, none where they are not listed.

    `bare_regimes` are the regimes, of a first and of a second stage, that a value alone is decoded in.

    A part that an architecture lacks raises `Unavailable` when it is asked for: one line says so, whoever asks.
    """

    identity: Identity
    dirty: DirtyConvention = DirtyConvention.NONE
    registers: Mapping[str, type[Word]]
    principal: tuple[str, ...]
    brief_fields: Mapping[str, Brief] = {}
    leaves: tuple[type[Word], ...]
    memory_types: Collection[str] = ()
    regime_names: tuple[str, ...]
    privileges: tuple[Privilege, ...]
    bare_regimes: tuple[str, str] = ("", "")
    pc: str
    general: tuple[str, ...]
    exceptions: Exceptions = absent("exceptions")
    isolation: PageTableIsolation = absent("page-table isolation")
    repair: DescriptorRepair = absent("repairs of descriptors")
    gadgets: Gadgets = absent("instructions to borrow")
    hardware_flags: HardwareFlags = absent("controls of who sets access flags")
    table_heuristics: TableHeuristics = absent("looks of tables")
    other_state: OtherState = absent("levels below another execution state")
    guests: GuestRegisters = absent("guests of a hypervisor")

    reads_code: tuple[Privilege, ...] = ()
    """As whom there are loads that need the right to execute instead of that to read; empty where there are none."""

    never_given: frozenset[str] = frozenset()
    """The declared registers that QEMU's gdbstub gives of no CPU."""

    tells_shadow_stacks: bool = False
    """Whether an access to a shadow stack is checked by rules of its own."""

    @property
    def supervisor(self) -> Privilege:
        """The lowest level of privilege above the user's, where there is one: a kernel's, if nobody knows better."""
        return self.privileges[min(1, len(self.privileges) - 1)]

    @property
    def name(self) -> str:
        return self.identity.name

    def has(self, part: str) -> bool:
        """Return whether there is the part of that name."""
        if part in vars(self):
            return True
        # Not by asking for it: that is what raises.
        found = next(each.__dict__[part] for each in type(self).__mro__ if part in each.__dict__)
        return not isinstance(found, Absent)

    def reading_dirty(self, convention: DirtyConvention) -> Self:
        """Return this architecture for a guest of that convention."""
        if convention is self.dirty:
            return self
        other = copy.copy(self)
        other.dirty = convention
        return other

    @abc.abstractmethod
    def word(self, name: str, register: ReadRegister) -> Word:
        """Return a declared register as the word it is here: some are laid out by what another says."""

    def stand_in(self, name: str) -> Word | None:
        """Return what a declared register that the source lacks is taken for; None where nothing stands in for it."""
        return None

    def register_name(self, text: str, level: int) -> str | None:
        """Return the register that a name in any case stands for, of `level` where it says none, or None."""
        known = {name.lower(): name for name in (*self.registers, *self.general)}
        return known.get(text.lower())

    def suffix(self, level: int) -> str:
        """Return what the names of a level's own registers end in; empty where they do not tell."""
        return ""

    def base_name(self, name: str) -> str:
        """Return a register's name without its level."""
        suffixes = (self.suffix(each) for each in self.privileges)
        return next((name.removesuffix(each) for each in suffixes if each and name.endswith(each)), name)

    def register_names(self) -> Collection[str]:
        """Return every name that `register_name` knows."""
        return (*self.registers, *self.general)

    def from_stub(self, name: str, stub: Stub) -> int | None:
        """Return a register of the manual's name from what a stub tells; None where that does not show it."""
        return stub.register(name)

    def implied(self, register: ReadRegister, given: Collection[str]) -> Derived:
        """Return registers that follow from those that somebody wrote down, `given`, where a source lacks them."""
        from gdbtools.arch.model import Derived  # not before anything is asked: what GDB sources imports none of it

        return Derived({}, ())

    def laid_out_by(self, name: str) -> tuple[str, str] | None:
        """Return the register and its field that decide how another is laid out; None where its layout is fixed."""
        return None

    def in_force(self, register: ReadRegister) -> Sequence[str]:
        """Return the names of the registers that translate now, and of those that hold the last exception."""
        return self.principal

    def bare_regime(self, granule: str, name: str, level: int | None) -> Regime:
        """Return a regime of that name of which nothing is known but its granule: `4k`, `16k` or `64k`.

        It has `level`, if the architecture gives that granule one.
        """
        raise Unavailable(f"a value of {self.identity.title} cannot be decoded by itself; give a source")

    def wider_regime(self, name: str) -> Regime | None:
        """Return a bare regime of that name whose entries are the longer of two formats; None where there is one."""
        return None

    def marked(self, regime: Regime) -> Regime:
        """Return a regime that knows how its guest marks what is dirty."""
        return regime

    @abc.abstractmethod
    def privilege(self, register: ReadRegister) -> Privilege:
        """Return the level of privilege that the CPU is at."""

    @abc.abstractmethod
    def state(self, register: ReadRegister) -> int:
        """Return the current processor state word, as `check` wants it."""

    @abc.abstractmethod
    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        """Return every range of the regime of that name (None: the one in force), in the order of their addresses."""

    @abc.abstractmethod
    def regime_for(self, register: ReadRegister, address: Input, name: str | None = None) -> Regime:
        """Return the range that translates `address` in the regime of that name (None: the one in force)."""

    def loaded(self, register: ReadRegister) -> Sequence[str]:
        """Return the names of regimes whose tables the registers hold although no translation in force uses them.

        At a hypervisor's stop those are its guest's.
        """
        return ()

    @abc.abstractmethod
    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        """Return whether a walk's outcome lets `access` happen: None, or what refuses it."""

    def regime_asked(self, register: ReadRegister, asking: Privilege, kind: AccessKind) -> str | None:
        """Return the name of the regime that an access from a level is put to; None: the one in force, whatever it is.

        A level of which only one regime has any does not have to be asked about by that regime's name.
        """
        return None

    def met_by(self, regime: Regime, access: Access, register: ReadRegister) -> tuple[Regime, Access]:
        """Return a regime as an access meets it, and that access as it is checked: controls may change whose it is."""
        return regime, access

    def rooted(self, register: ReadRegister, name: str | None, root: int) -> Mapping[str, int]:
        """Return the registers that would have the tables of a regime (None: of the one in force) at a root.

        Raises `UsageError` where a root alone does not say how its tables are laid out.
        """
        example, value = self.identity.examples.root
        raise UsageError(
            f"for {self.identity.title} a root alone does not say how its tables are laid out; "
            f"give the register that has it: --with {example}={value}"
        )

    def status(self, fault: Fault, access: Access | None = None, walk: Walk | None = None) -> int | None:
        """Return what hardware would report of a fault, as its own status code; None where it has none.

        Some have the access in it, in words that are the regime's: they have none where no access is meant.  `walk` is
        the whole one, of whichever stage the fault is.
        """
        return None

    def vector(self, fault: Fault) -> int | None:
        """Return the number of the exception that a fault is, where exceptions have numbers."""
        return None

    def called(self, fault: Fault, kind: AccessKind | None, walk: Walk | None = None) -> str:
        """Return what the manual calls a fault of a kind of access; empty where that is its kind and its stage."""
        return ""

    def may_refuse(self, walk: Walk, access: Access) -> Refusal | None:
        """Return why a CPU may refuse what `check` allows, where the architecture leaves that to it."""
        return None

    def done_otherwise(self, refusal: Refusal, register: ReadRegister) -> str:
        """Return what is known of an emulator that does not do what the manual refuses; empty where nothing is."""
        return ""

    @abc.abstractmethod
    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:
        """Return the levels of privilege that run in a regime, the lowest first."""
