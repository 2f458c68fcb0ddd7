"""A sibling of the toy, with what the toy lacks done otherwise than AArch64 does it.

Its instructions are one to three bytes long, at any address; it returns from an exception by two registers, with no
instruction; its invalidation needs no barrier; its syndrome does not tell a missing page from a missing right; and an
access flag that was set is not seen before the TLB has been told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from gdbtools.arch.exceptions import Exceptions
from gdbtools.arch.gadgets import (
    Borrowable,
    Claim,
    Extent,
    Gadgets,
    GadgetWords,
    MaintenanceBarrier,
    Scope,
    Use,
)
from gdbtools.arch.instruction_effects import Effect, EffectKind, EffectWords
from gdbtools.arch.model import (
    Access,
    AccessKind,
    AddressMeaning,
    Agreement,
    ExceptionRecord,
    Fault,
    FaultKind,
    Fit,
    Privilege,
    ReadRegister,
    RecordNames,
    Shown,
    Syndrome,
    VectorEntry,
    Walk,
)
from gdbtools.bits import Field, FieldValue, Word
from tests import toy

NAMES: Final = RecordNames("CAUSE", "BAD", "PC0", "MODE0")
FLUSH: Final = b"\x42\x07"
"""The invalidation: two bytes, of which the first says that there are two."""
STORE, LONG = b"\x81", b"\xc0"
VECTOR: Final = 0x3F00


class CAUSE(Word):
    """What happened; a page fault is of the page or of the right."""

    code = Field((3, 0), doc="what", values={0: "nothing", 1: "page fault"})


class StrangeExceptions(Exceptions):
    names = NAMES
    effect_words = EffectWords("wait", "sync", "flush")
    vectors_bytes = 16
    longest_instruction_bytes = 3
    cached_refusals = frozenset((FaultKind.TRANSLATION, FaultKind.PERMISSION))

    def instruction_bytes(self, begins: bytes) -> int:
        """The two highest bits of the first byte: 01 is two bytes, 11 three."""
        return 1 if not begins else {0b01: 2, 0b11: 3}.get(begins[0] >> 6, 1)

    def way_back(self, register: ReadRegister, through: int | None) -> Mapping[str, int] | None:
        return {"mode": register("MODE0"), "pc": register("PC0")}

    def syndrome_of(self, exception_class: int, iss: int) -> int | None:
        return exception_class

    def decode(self, value: int) -> Syndrome:
        if CAUSE(value).code != 1:
            return Syndrome(CAUSE(value), "nothing")
        told = Fault(FaultKind.TRANSLATION, 1, None)
        apart = frozenset((FaultKind.TRANSLATION, FaultKind.PERMISSION))
        meaning = AddressMeaning.ACCESSED
        return Syndrome(CAUSE(value), "page fault", told, AccessKind.WRITE, address=meaning, not_told_apart=apart)

    def is_syndrome(self, name: str) -> bool:
        return name == NAMES.syndrome

    def syndrome(self, register: ReadRegister) -> Syndrome:
        return self.decode(register(NAMES.syndrome))

    def context(self, register: ReadRegister) -> tuple[int, ...]:
        return (register("TTB"),)

    def record(self, register: ReadRegister) -> ExceptionRecord:
        found = self.syndrome(register)
        at, state = register(NAMES.return_address), register(NAMES.state)
        return ExceptionRecord(toy.ANYBODY, found, register(NAMES.address), at, toy.ANYBODY, state, "toy", NAMES)

    def raised_at(self, exception: ExceptionRecord) -> int | None:
        return exception.return_address

    def fits(
        self, exception: ExceptionRecord, instruction: int | None, register: ReadRegister | None = None
    ) -> Agreement:
        return Agreement(Fit.NOT_SHOWN, "nothing says so")

    def vectors(self, register: ReadRegister, regime: str | None = None) -> Mapping[int, str]:
        return {VECTOR: "the only one"}

    def vector_base(self, register: ReadRegister, regime: str | None = None) -> str:
        return "VEC"

    def vector_entry(self, register: ReadRegister) -> VectorEntry | None:
        return VectorEntry("the only one") if register("pc") == VECTOR else None

    def fits_entry(self, exception: ExceptionRecord, entry: VectorEntry) -> str:
        return ""

    def is_of(self, exception: ExceptionRecord, regime: str) -> bool:
        return True

    def regime_of(self, register: ReadRegister, privilege: Privilege) -> str:
        return "toy"

    def maintenance(self, instruction: int) -> AccessKind:
        return AccessKind.MAINTENANCE

    def is_unprivileged(self, instruction: int) -> bool:
        return False

    def effects(self, code: bytes, end: int, register: ReadRegister, regime: str, about: Walk) -> Sequence[Effect]:
        """The only store there is writes where r0 points."""
        stores = code.endswith(STORE)
        return [Effect(end - 1, EffectKind.STORE, "store", register("r0"))] if stores else []

    def shown_by(
        self, fault: Fault, walk: Walk, access: Access, state: int | None, register: ReadRegister
    ) -> Shown | None:
        return None

    def trap_controls(self, exception: ExceptionRecord, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:
        return ()


class StrangeGadgets(Gadgets):
    words = GadgetWords("flush", "none")
    alignment_bytes = 1
    returns = ()

    def barriers(self) -> Sequence[MaintenanceBarrier]:
        return ()

    def invalidations(self, scope: Scope, register: ReadRegister, regime: str | None = None) -> Sequence[Borrowable]:
        word = int.from_bytes(FLUSH, "little")
        return (Borrowable(0xFFFF, word, lambda _: Use("flush", {}), extent=Extent.ALL, size_bytes=2),)

    def address_space_bits(self, register: ReadRegister, regime: str | None = None) -> int:
        """As many as x86's PCID has."""
        return 12

    def accesses(self, access: Access, address: int, register: ReadRegister) -> Sequence[Borrowable]:
        return ()

    def translations(self, access: Access, address: int, register: ReadRegister) -> Sequence[Borrowable]:
        return ()

    def translated(self, address: int, register: ReadRegister) -> int | Fault:
        return 0

    def entered(self, register: ReadRegister, regime: str | None = None) -> Sequence[ReadRegister]:
        return (register,)

    def claim(self, register: ReadRegister) -> Claim | None:
        return None


class Strange(toy.Toy):
    """The toy, with exceptions and what may be borrowed."""

    registers = {**toy.Toy.registers, "CAUSE": CAUSE}
    general = ("r0", "pc", "mode", "PC0", "MODE0", "BAD")
    exceptions = StrangeExceptions()
    gadgets = StrangeGadgets()


STRANGE: Final = Strange()
STRANGE.identity = replace(toy.IDENTITY, name="strange", title="Strange")  # type: ignore[misc]
