"""x86-64: paging in all its modes, as one `Architecture`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from gdbtools.addresses import Input
from gdbtools.arch.capabilities import Architecture
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
from gdbtools.arch.x86_64 import GENERAL, IDENTITY
from gdbtools.arch.x86_64.exceptions.page_faults import PageFaults
from gdbtools.arch.x86_64.privileges import LEVELS, USER
from gdbtools.arch.x86_64.registers import catalog
from gdbtools.arch.x86_64.registers.control import EFLAGS
from gdbtools.arch.x86_64.registers.descriptor_tables import idtr_of
from gdbtools.arch.x86_64.registers.memory_types import TYPES
from gdbtools.arch.x86_64.syndrome.page_fault import PageFaultCode
from gdbtools.arch.x86_64.tables.descriptors import page_entry
from gdbtools.arch.x86_64.tables.geometry import LEVELS_4, MODE_32, PAE
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.arch.x86_64.translation.isolation import TwoRoots
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.bits import Word
from gdbtools.errors import UsageError


class X86(Architecture):
    """Everything that is known of x86-64."""

    identity = IDENTITY
    regime_names = regimes.NAMES
    memory_types = tuple(TYPES.values())
    bare_regimes = (regimes.LINEAR, "")
    privileges = LEVELS
    pc = "rip"
    general = GENERAL
    brief_fields = catalog.BRIEF
    registers = catalog.DECLARED
    principal = tuple(catalog.DECLARED)
    leaves = (
        *(page_entry(LEVELS_4, level.low) for level in LEVELS_4.levels[1:]),
        *(page_entry(PAE, level.low) for level in PAE.levels[1:]),
        *(page_entry(MODE_32, level.low) for level in MODE_32.levels),
    )

    exceptions = PageFaults()
    isolation = TwoRoots()

    def word(self, name: str, register: ReadRegister) -> Word:
        layout = regimes.root_register(register) if name == "cr3" else self.registers[name]
        return layout(register(name))

    def in_force(self, register: ReadRegister) -> Sequence[str]:  # noqa: ARG002
        return catalog.IN_FORCE

    def register_names(self) -> Collection[str]:
        return (*self.registers, *self.general)

    def bare_regime(self, granule: str, name: str, level: int | None) -> Regime:  # noqa: ARG002
        if granule != "4k":
            raise UsageError("pages of x86-64 have 4k, and large ones follow from their level; leave --granule out")
        return regimes.bare_regime()

    def from_stub(self, name: str, stub: Stub) -> int | None:
        return idtr_of(stub) if name == "idtr" else stub.register(name)

    def privilege(self, register: ReadRegister) -> Privilege:
        return regimes.privilege(register)

    def state(self, register: ReadRegister) -> int:
        return optional(register, "eflags") or 0

    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        return regimes.ranges(register, name)

    def regime_for(self, register: ReadRegister, address: Input, name: str | None = None) -> Regime:  # noqa: ARG002
        return regimes.regime(register, name)

    def met_by(self, regime: Regime, access: Access, register: ReadRegister) -> tuple[Regime, Access]:  # noqa: ARG002
        """Return a regime as an access meets it: what fetches instructions has no bits that do not count."""
        if access.kind is AccessKind.EXECUTE and isinstance(regime, Linear):
            regime = replace(regime, masking=None)
        return regime, replace(access, privilege=USER) if access.unprivileged else access

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        if not isinstance(walk.regime, Linear):
            return walk.refused
        return walk.regime.check(walk, access.kind, access.privilege, bool(EFLAGS(state).AC))

    def status(self, fault: Fault, access: Access | None = None, regime: Regime | None = None) -> int | None:
        """Return the error code of the page fault; None for what is none, and where no access is meant."""
        if access is None or fault.kind not in PageFaultCode.KINDS:
            return None
        return int(PageFaultCode.of_fault(fault, access, regime is not None and regimes.tells_fetches(regime)))

    def called(self, fault: Fault, kind: AccessKind | None) -> str:  # noqa: ARG002
        """Return the name of the exception, with what its error code says of the reason."""
        if fault.kind is FaultKind.GENERAL_PROTECTION:
            return "general protection (#GP)"
        said = {
            FaultKind.TRANSLATION: "not present",
            FaultKind.RESERVED_BIT: "reserved bit",
            FaultKind.PERMISSION: "access rights",
            FaultKind.PROTECTION_KEY: "protection key",
        }
        if fault.kind not in said:
            return ""
        level = "" if fault.level is None else f", level {fault.level}"
        return f"page fault (#PF): {said[fault.kind]}{level}"

    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:  # noqa: ARG002
        return LEVELS


X86_64: Final = X86()
