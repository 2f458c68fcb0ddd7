"""A machine of AArch32 by its registers and its tables' words, and the questions that tests put to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gdbtools.addresses import PA, VA
from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Attributes,
    Decider,
    Refusal,
    Regime,
    Walk,
    with_memory,
    written_down,
)
from gdbtools.arch.model.registers import CpuRegisters
from gdbtools.arch.walk import walk
from gdbtools.errors import Unreadable

AARCH32 = ARCHITECTURES["aarch32"]
PL0, PL1, PL2 = AARCH32.privileges
READ, WRITE, EXECUTE = AccessKind.READ, AccessKind.WRITE, AccessKind.EXECUTE
M, WXN, UWXN, EE, TRE, AFE = 1 << 0, 1 << 19, 1 << 20, 1 << 25, 1 << 28, 1 << 29
EAE, PAN = 1 << 31, 1 << 22
SUPERVISOR, ABORT, HYP, USER, MONITOR = 0x13, 0x17, 0x1A, 0x10, 0x16
CLIENTS = 0x5555_5555
ROOT0, ROOT1, SECOND, THIRD = 0x4000_0000, 0x4000_4000, 0x4000_8000, 0x4000_9000
# PXN, and long descriptors.
MODEL = 5


@dataclass
class Machine:
    """Registers over a machine of short descriptors, all of them clients', and the entries by their addresses."""

    registers: dict[str, int] = field(default_factory=dict)
    entries: dict[int, int] = field(default_factory=dict)
    entry_bytes: int = 4
    order: str = "little"

    def __post_init__(self) -> None:
        usual = {
            "SCTLR": M, "TTBCR": 0, "TTBR0": ROOT0, "TTBR1": ROOT1, "DACR": CLIENTS, "MAIR0": 0, "MAIR1": 0,
            "ID_MMFR0": MODEL, "cpsr": SUPERVISOR,
        }  # fmt: skip
        self.registers = {**usual, **self.registers}

    @property
    def register(self) -> CpuRegisters:
        return with_memory(written_down(self.registers), self.read)

    def read(self, pa: PA, size_bytes: int) -> bytes:
        if not ROOT0 <= pa < ROOT0 + (1 << 20):
            raise Unreadable(pa, size_bytes, "no memory is there")
        words = range(pa, pa + size_bytes, self.entry_bytes)
        return b"".join(self.entries.get(at, 0).to_bytes(self.entry_bytes, self.order) for at in words)  # type: ignore[arg-type]

    def regimes(self) -> tuple[Regime, ...]:
        return AARCH32.regimes(self.register)

    def walk(self, va: int) -> Walk:
        return walk(AARCH32.regime_for(self.register, VA(va)), VA(va), self.read)

    def refused(
        self, va: int, kind: AccessKind = READ, user: bool = False, unprivileged: bool = False
    ) -> Refusal | None:
        access = Access(kind, PL0 if user else PL1, unprivileged)
        found = AARCH32.check(self.walk(va), access, self.registers["cpsr"])
        if found is not None:
            self.is_what_is_there(found.decider)
        return found

    def is_what_is_there(self, decider: Decider) -> None:
        """Hold the value of the deciding bits against the word that has them."""
        if decider.pa is not None:
            assert decider.value == decider.field.of(self.entries.get(decider.pa, 0))
        elif decider.holder != "VA":
            name = decider.holder if decider.holder in self.registers else decider.holder.lower()
            assert decider.value == decider.field.of(self.registers[name])

    def attributes(self, va: int) -> Attributes:
        found = self.walk(va).attributes
        assert found is not None, "it is mapped"
        return found

    def rights(self, va: int) -> tuple[str, str]:
        """Return what PL1 and PL0 may do."""
        given = self.attributes(va).rights
        return str(given[PL1]), str(given[PL0])


def section(entry: int, **registers: int) -> Machine:
    """Return a machine whose first section has this entry."""
    return Machine(registers, {ROOT0: entry})


def page(entry: int, table: int = SECOND | 1, **registers: int) -> Machine:
    """Return a machine whose first page has this entry, below this one that leads to its table."""
    return Machine(registers, {ROOT0: table, SECOND: entry})


def long_page(entry: int, first: int = SECOND | 3, second: int = THIRD | 3, **registers: int) -> Machine:
    """Return a machine of long descriptors whose first page has this entry."""
    return Machine({"TTBCR": EAE, **registers}, {ROOT0: first, SECOND: second, THIRD: entry}, 8)


def why(refused: Refusal | None) -> tuple[str, str, int] | None:
    """Return a refusal's cause, what holds the deciding bits, and the level of its fault; None where it is allowed."""
    if refused is None:
        return None
    return refused.decider.cause.name, refused.decider.field.name, refused.fault.level or 0
