"""RISC-V: the privileged architecture's paged memory, of both XLENs, as one `Architecture` for each."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from gdbtools.addresses import Input
from gdbtools.arch.capabilities import Architecture
from gdbtools.arch.identity import Identity
from gdbtools.arch.model import (
    Access,
    AccessKind,
    Fault,
    FaultKind,
    Privilege,
    ReadRegister,
    Refusal,
    Regime,
    Stub,
    Walk,
    optional,
)
from gdbtools.arch.riscv import GENERAL, RISCV32_IDENTITY, RISCV64_IDENTITY
from gdbtools.arch.riscv.causes import PagedCause
from gdbtools.arch.riscv.descriptor_repair import EntryRepair
from gdbtools.arch.riscv.exceptions.traps import Traps
from gdbtools.arch.riscv.hardware_flags import EnvironmentFlags
from gdbtools.arch.riscv.instructions.gadgets import Borrowed
from gdbtools.arch.riscv.privilege_modes import MODES, VS, VU, M, S
from gdbtools.arch.riscv.registers import catalog
from gdbtools.arch.riscv.registers.from_stub import QEMU, from_stub
from gdbtools.arch.riscv.registers.traps import EXCEPTIONS
from gdbtools.arch.riscv.syndrome import ACCESS_FAULT_KINDS, PAGE_FAULT_KINDS
from gdbtools.arch.riscv.tables.descriptors import MEMORY_TYPES, contiguous_entry, leaf_entry
from gdbtools.arch.riscv.tables.geometry import SCHEMES
from gdbtools.arch.riscv.tables.table_heuristics import PageTables
from gdbtools.arch.riscv.translation import bare_regime, regimes
from gdbtools.arch.riscv.translation.bare import Untranslated
from gdbtools.arch.riscv.translation.guest_stage import GuestStage
from gdbtools.arch.riscv.translation.guests import HartGuests
from gdbtools.arch.riscv.translation.virtual_stage import VirtualStage
from gdbtools.bits import Word

# "Trap Cause Codes": of a page fault, of a guest-page fault, and of an access fault, by the original access.
CODES: Final = {
    AccessKind.EXECUTE: (12, 20, 1),
    AccessKind.READ: (13, 21, 5),
    AccessKind.READ_EXECUTABLE: (13, 21, 5),
    AccessKind.WRITE: (15, 23, 7),
}
_STORE: Final = CODES[AccessKind.WRITE]
_CALLED: Final = PAGE_FAULT_KINDS | ACCESS_FAULT_KINDS | {FaultKind.PAGE}


_SETS_FLAGS: Final = 702
"""QEMU 7.2, which has neither Svade nor Svadu: seen in every access that the oracle's guest makes."""


def _code(fault: Fault, kind: AccessKind) -> int:
    page, guest_page, access = CODES.get(kind, _STORE)
    if fault.kind is FaultKind.ACCESS:
        return access
    return guest_page if fault.stage > 1 else page


def check(walk: Walk, access: Access, mode: Privilege) -> Refusal | None:
    """Ask the first stage, then the G-stage, and then physical memory protection: the first that refuses is told."""
    regime, kind = walk.regime, access.kind
    refused = walk.refusal
    if isinstance(regime, GuestStage):
        refused = regime.check(walk, kind)
    elif isinstance(regime, VirtualStage):
        refused = regime.check(walk, kind, mode)
    if refused is None and walk.final is not None:
        assert isinstance(walk.final.regime, GuestStage), "below is the G-stage"
        refused = walk.final.regime.check(walk.final, kind)
    if refused is not None:
        return refused
    assert isinstance(regime, VirtualStage | GuestStage | Untranslated)
    if regime.protection is None or walk.destination is None or (regime.below is not None and walk.final is None):
        return None
    destination = walk.destination if walk.final is None else walk.final.destination
    assert destination is not None, "nothing refused it"
    level = walk.leaf.level.number if walk.leaf is not None else None
    return regime.protection.refuse(destination.address, 1, kind, mode == M, regime.stage, level)


class RiscV(Architecture):
    """RISC-V where MXLEN is `bits`."""

    regime_names = regimes.NAMES
    memory_types = tuple(MEMORY_TYPES.values())
    bare_regimes = (regimes.SUPERVISOR, regimes.GUEST_STAGE)
    privileges = MODES
    # HLVX: "Hypervisor Virtual-Machine Load and Store Instructions".
    reads_code = (VS, VU)
    pc = "pc"
    general = GENERAL
    brief_fields = catalog.BRIEF

    def __init__(self, identity: Identity, bits: int) -> None:
        self.identity = identity
        self.bits = bits
        self.exceptions = Traps(bits)
        self.repair = EntryRepair(bits)
        self.gadgets = Borrowed(bits)
        self.hardware_flags = EnvironmentFlags(bits)
        self.table_heuristics = PageTables(bits)
        self.guests = HartGuests(bits)
        self.registers = catalog.declared(bits)
        self.principal = catalog.principal(bits)
        schemes = SCHEMES[bits].values()
        kinds = {leaf_entry(each.entry_bytes, level.low) for each in schemes for level in each.levels}
        wide = [contiguous_entry()] if bits == catalog.WIDE else []
        self.leaves = (*sorted(kinds, key=lambda kind: kind.field("OutputAddress").scale), *wide)

    @property
    def supervisor(self) -> Privilege:
        return S

    def word(self, name: str, register: ReadRegister) -> Word:
        if self.exceptions.is_syndrome(name):
            return self.exceptions.decode(register(name)).word
        return self.registers[name](register(name))

    def in_force(self, register: ReadRegister) -> Sequence[str]:
        return [name for name in catalog.in_force(regimes.current(register)) if name in self.registers]

    def register_names(self) -> Collection[str]:
        return (*self.registers, *self.general)

    def bare_regime(self, granule: str, name: str, level: int | None) -> Regime:  # noqa: ARG002
        return bare_regime.bare_regime(self.bits, name)

    def from_stub(self, name: str, stub: Stub) -> int | None:
        return from_stub(name, stub)

    def privilege(self, register: ReadRegister) -> Privilege:
        return regimes.privilege(register)

    def state(self, register: ReadRegister) -> int:
        # What of it counts is in the regimes: no trap changes SUM or MXR.
        return optional(register, "mstatus") or 0

    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        return regimes.ranges(register, self.bits, name)

    def regime_for(self, register: ReadRegister, address: Input, name: str | None = None) -> Regime:  # noqa: ARG002
        return regimes.regime(register, self.bits, name)

    def regime_asked(self, register: ReadRegister, asking: Privilege, kind: AccessKind) -> str | None:
        return regimes.OF_MODE[regimes.effective_mode(register, self.bits, asking, kind)]

    def met_by(self, regime: Regime, access: Access, register: ReadRegister) -> tuple[Regime, Access]:
        effective = regimes.effective_mode(register, self.bits, access.privilege, access.kind)
        return regimes.met_by(regime, access, register, self.bits), replace(access, privilege=effective)

    def loaded(self, register: ReadRegister) -> Sequence[str]:
        """Return the regimes whose tables are there although another is in force."""
        return regimes.loaded(register, self.bits)

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:  # noqa: ARG002
        return check(walk, access, access.privilege)

    def status(self, fault: Fault, access: Access | None = None, walk: Walk | None = None) -> int | None:  # noqa: ARG002
        """Return the exception code that scause has: by the original access, so none where no access is meant."""
        return None if access is None else _code(fault, access.kind)

    def called(self, fault: Fault, kind: AccessKind | None, walk: Walk | None = None) -> str:  # noqa: ARG002
        """Return the name of the exception, as "Trap Cause Codes" has it where the access is known."""
        if fault.kind not in _CALLED:
            return ""
        code = None if kind is None else _code(fault, kind)
        what = "guest-page fault" if fault.stage > 1 else "page fault"
        what = "access fault" if fault.kind is FaultKind.ACCESS else what
        name = what if code is None else f"{EXCEPTIONS[code]} (scause {code})"
        level = "" if fault.level is None else f", level {fault.level}"
        return f"{name}{' of a VS-stage table walk' if fault.s1ptw else ''}{level}"

    def done_otherwise(self, refusal: Refusal, register: ReadRegister) -> str:
        cause = None if refusal.decider is None else refusal.decider.cause
        if cause not in (PagedCause.NOT_ACCESSED, PagedCause.NOT_DIRTY) or optional(register, QEMU) != _SETS_FLAGS:
            return ""
        return "QEMU 7.2 sets A and D itself, whatever menvcfg.ADUE says: it does not refuse this"

    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:
        if isinstance(regime, GuestStage):
            return MODES[1:3]
        assert isinstance(regime, VirtualStage | Untranslated)
        return regime.modes


RISCV64: Final = RiscV(RISCV64_IDENTITY, 64)
RISCV32: Final = RiscV(RISCV32_IDENTITY, 32)
