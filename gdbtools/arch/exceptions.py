"""What is asked of an architecture's exceptions: what they leave behind, where they are taken, and how to return."""

from __future__ import annotations

import abc
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gdbtools.addresses import VA
    from gdbtools.arch.instruction_effects import Effect, EffectWords
    from gdbtools.arch.model import (
        Access,
        AccessKind,
        Agreement,
        ExceptionRecord,
        Fault,
        FaultKind,
        InstructionAccess,
        Privilege,
        ReadRegister,
        RecordNames,
        Shown,
        Syndrome,
        TrappedOperand,
        VectorEntry,
        Walk,
    )
    from gdbtools.bits import FieldValue


class Exceptions(abc.ABC):
    """What exceptions leave behind, where they are taken, and what the instruction that raised one was.

    Where what they leave is on a stack, or the vectors are in memory, `gdbtools.arch.model.memory_of(register)` reads
    it, in every method that is handed the registers of a CPU as they are: `way_back`, `syndrome`, `context`, `record`,
    `vectors`, `vector_entry` and `entry`.  Such a method raises `Unreadable` too.

    `names` are the exception registers' where no level is meant.
    """

    names: RecordNames
    recorded_as: tuple[str, str, str] = ("address_valid", "address_meaning", "ipa_valid")
    """The keys in JSON of what a syndrome says of addresses: that there is one, what it is of, that there is an IPA."""
    effect_words: EffectWords
    vectors_bytes: int
    """How much there is of vectors, from the first entry's beginning."""
    longest_instruction_bytes: int
    cached_refusals: Collection[FaultKind]
    """The kinds of fault that an entry may cause although a TLB holds it."""
    fences_are_local: bool = False
    """Whether what invalidates a translation does so on its own CPU alone."""
    fault_forgets: str = ""
    """How a fault that the tables permit cannot come of the same CPU's TLB once more; empty where it can."""

    caught: Sequence[str] = ("access-flag", "translation", "permission")
    """The kinds of fault that may be caught."""
    named: Mapping[str, str] = MappingProxyType({})
    """The exceptions that no table decides and that may be caught by name (`named_vectors`), with what they are."""
    named_by_regime: bool = False
    """Whether these are told apart by the level that takes them, which the name of a regime says."""
    named_regimes: Mapping[str, str] = MappingProxyType({})
    """Of those that only one level takes, the regime whose faults that takes."""
    handler_register: str = ""
    """The name by which it is known where faults are handled that no register or table says; empty where one does."""
    grants_owe_nothing: bool = False
    """Whether an entry that grants more needs no invalidation, although a TLB may go on refusing by the older one."""
    barriers_are_owed: bool = True
    """Whether something has to come between a store to an entry and the access for walks to see it."""
    tables_are_unhooked: bool = False
    """Whether guests run here whose hypervisor takes a table out of the tree while it is written."""

    @abc.abstractmethod
    def instruction_bytes(self, begins: bytes) -> int:
        """Return how long the instruction is that begins so; where that does not tell, how many bytes would.

        Without any that is the length of the shortest.
        """

    @abc.abstractmethod
    def way_back(self, register: ReadRegister, through: VA | None) -> Mapping[str, int] | None:
        """Return the registers that, set at a vector entry where nothing has run yet, have the CPU return.

        `through` is an exception return of the guest's own; None as an answer says that one is needed.
        """

    @abc.abstractmethod
    def syndrome_of(self, exception_class: int, iss: int) -> int | None:
        """Return the syndrome of a class and what is specific to it; None where one of them is too large."""

    @abc.abstractmethod
    def decode(self, value: int) -> Syndrome:
        """Decode a syndrome; never refuses a value."""

    def decode_fetch(self, value: int) -> Syndrome | None:  # noqa: ARG002
        """Decode a syndrome of the register that aborted fetches have for themselves; None where there is none."""
        return None

    def names_of(self, syndrome: Syndrome) -> RecordNames:  # noqa: ARG002
        """Return the names of the registers that are written with a syndrome, where no level is meant."""
        return self.names

    @abc.abstractmethod
    def is_syndrome(self, name: str) -> bool:
        """Return whether a register of that name holds a syndrome."""

    @abc.abstractmethod
    def syndrome(self, register: ReadRegister) -> Syndrome:
        """Decode the syndrome of the last exception, reading no other register."""

    @abc.abstractmethod
    def context(self, register: ReadRegister) -> tuple[int, ...]:
        """Return what identifies an address space and its vectors: equal contexts map the same code."""

    @abc.abstractmethod
    def record(self, register: ReadRegister) -> ExceptionRecord:
        """Join the registers that describe the last exception."""

    @abc.abstractmethod
    def raised_at(self, exception: ExceptionRecord) -> VA | None:
        """Return the address of the instruction that an exception is about, if it is about one; None if not known."""

    @abc.abstractmethod
    def fits(
        self, exception: ExceptionRecord, instruction: int | None, register: ReadRegister | None = None
    ) -> Agreement:
        """Return whether an exception's syndrome fits the rest of its record, and the instruction at `raised_at`.

        `instruction` is None where it cannot be read; `register` is given where the general registers are still its.
        """

    def access_by(self, code: bytes, register: ReadRegister, at: VA | None = None) -> InstructionAccess | None:  # noqa: ARG002
        """Return what the instruction that code begins with does with memory; None for none, and where nobody knows.

        `register` reads the general registers as they were before it, and `at` is where it is, if that is known.
        """
        return None

    @abc.abstractmethod
    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[VA, str]:
        """Return the addresses where synchronous exceptions are taken, with the manual's name for each entry.

        They are those in force; of a regime's name, those where its faults are taken, at whichever level the CPU is.
        """

    def ways_in(self, register: ReadRegister) -> Collection[VA]:
        """Return where a CPU comes in that is in user code: the entries of exceptions and of interrupts."""
        return self.vectors(register)

    def named_vectors(self, register: ReadRegister, name: str, regime: str | None = None) -> Mapping[VA, str]:  # noqa: ARG002
        """Return where exceptions of a name of `named` are taken, with the name of each entry; none where nowhere.

        Of a regime's name, that is where the level takes them that takes its faults, wherever the CPU is.
        """
        return {}

    def is_named(self, exception: ExceptionRecord, name: str, regime: str | None = None) -> bool:  # noqa: ARG002
        """Return whether an exception at one of these vectors is of that name, taken where the regime's faults are."""
        return True

    @abc.abstractmethod
    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:
        """Return the register that says where these vectors are; without a name, those in force."""

    @abc.abstractmethod
    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        """Return the vector entry that pc stands at, None where it stands at none."""

    def entry(self, register: ReadRegister) -> str:
        """Return the name of the vector entry that pc stands at, if its exceptions have a syndrome; empty where it
        stands at none.
        """
        found = self.vector_entry(register)
        return "" if found is None or found.interrupt else found.name

    @abc.abstractmethod
    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:
        """Return why an exception cannot have been taken at a vector entry; empty where nothing speaks against it."""

    @abc.abstractmethod
    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        """Return whether an exception is a fault of the regime of that name."""

    @abc.abstractmethod
    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:
        """Return the name of the regime that translates for a level of privilege."""

    @abc.abstractmethod
    def maintenance(self, instruction: int) -> AccessKind:
        """Return which kind of cache maintenance an instruction is: MAINTENANCE for the kind that needs least."""

    @abc.abstractmethod
    def is_unprivileged(self, instruction: int) -> bool:
        """Return whether an instruction's loads and stores are checked as if a user made them."""

    def words_for(self, exception: ExceptionRecord) -> EffectWords:  # noqa: ARG002
        """Return the words for what makes a change be seen of the translation that an exception is a fault of."""
        return self.effect_words

    @abc.abstractmethod
    def effects(self, code: bytes, end: VA, register: ReadRegister, regime: str, about: Walk) -> Sequence[Effect]:
        """Return what the code that ends at the address `end` did for the translation `about`, the latest first.

        `code` is its bytes as they are in memory; `regime` names the one that it runs in.  `about` is a walk of the
        stage whose tables are meant: of two, what invalidates one leaves the other.
        """

    def last_address(self, register: ReadRegister) -> VA | None:  # noqa: ARG002
        """Return the address of the last fault of a CPU where that outlives all else of it; None where it does not."""
        return None

    def pending(self, register: ReadRegister) -> Sequence[int] | None:  # noqa: ARG002
        """Return the interrupts that a CPU has been sent and not taken, by number; None where nothing says so."""
        return None

    def shown_by(
        self,
        fault: Fault,  # noqa: ARG002
        walk: Walk,  # noqa: ARG002
        access: Access,  # noqa: ARG002
        state: int | None,  # noqa: ARG002
        register: ReadRegister,  # noqa: ARG002
    ) -> Shown | None:
        """Return what a fault shows of a control that the source lacks; None where no value of one explains it.

        `state` is None where the saved processor state is not known.
        """
        return None

    def operand(self, exception: ExceptionRecord, register: ReadRegister) -> TrappedOperand | None:  # noqa: ARG002
        """Return what a trapped instruction was handed, by registers that are still its; None for nothing."""
        return None

    @abc.abstractmethod
    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:
        """Return the register fields that, as they are now, trap this exception's instruction: (register, field)."""
