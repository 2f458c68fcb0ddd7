"""x86-64: paging in all its modes, as one `Architecture`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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
from gdbtools.arch.x86_64.descriptor_repair import PageRepair
from gdbtools.arch.x86_64.exceptions.frame import GENERAL_PROTECTION, PAGE_FAULT
from gdbtools.arch.x86_64.exceptions.page_faults import PageFaults
from gdbtools.arch.x86_64.instructions.gadgets import BorrowedInstructions
from gdbtools.arch.x86_64.privileges import LEVELS, USER
from gdbtools.arch.x86_64.registers import catalog, local_apic
from gdbtools.arch.x86_64.registers.control import CR4, EFLAGS
from gdbtools.arch.x86_64.registers.descriptor_tables import idtr_of, task_of
from gdbtools.arch.x86_64.registers.memory_types import TYPES
from gdbtools.arch.x86_64.syndrome.page_fault import REASONS, PageFaultCode
from gdbtools.arch.x86_64.tables.descriptors import page_entry
from gdbtools.arch.x86_64.tables.geometry import LEVELS_4, MODE_32, PAE
from gdbtools.arch.x86_64.tables.table_heuristics import LongModeTables
from gdbtools.arch.x86_64.translation import regimes
from gdbtools.arch.x86_64.translation.guests import VirtualMachines
from gdbtools.arch.x86_64.translation.hypervisor import EPT, ROOTS
from gdbtools.arch.x86_64.translation.isolation import TwoRoots
from gdbtools.arch.x86_64.translation.linear import Linear
from gdbtools.arch.x86_64.translation.paging_off import PagingOff
from gdbtools.arch.x86_64.translation.second_stage import GuestPage, SecondStage, second_walk
from gdbtools.bits import Word
from gdbtools.errors import UsageError


class X86(Architecture):
    """Everything that is known of x86-64."""

    identity = IDENTITY
    regime_names = regimes.NAMES
    memory_types = tuple(TYPES.values())
    bare_regimes = (regimes.LINEAR, EPT)
    privileges = LEVELS
    tells_shadow_stacks = True
    pc = "rip"
    general = GENERAL
    brief_fields = catalog.BRIEF
    registers = catalog.DECLARED
    principal = tuple(catalog.DECLARED)
    never_given = frozenset(catalog.DECLARED) - {*catalog.IN_FORCE, "idtr", "tr"}
    leaves = (
        *(page_entry(LEVELS_4, level.low) for level in LEVELS_4.levels[1:]),
        *(page_entry(PAE, level.low) for level in PAE.levels[1:]),
        *(page_entry(MODE_32, level.low) for level in MODE_32.levels),
    )

    exceptions = PageFaults()
    isolation = TwoRoots()
    table_heuristics = LongModeTables()
    repair = PageRepair()
    gadgets = BorrowedInstructions()
    guests = VirtualMachines()

    def word(self, name: str, register: ReadRegister) -> Word:
        layout = regimes.root_register(register) if name == "cr3" else self.registers[name]
        return layout(register(name))

    def in_force(self, register: ReadRegister) -> Sequence[str]:  # noqa: ARG002
        return catalog.IN_FORCE

    def register_names(self) -> Collection[str]:
        return (*self.registers, *self.general)

    def bare_regime(self, granule: str, name: str, level: int | None) -> Regime:  # noqa: ARG002
        if name not in regimes.NAMES:
            raise UsageError(f"{name} is no regime of x86-64; there are {', '.join(regimes.NAMES)}")
        if granule != "4k":
            raise UsageError("pages of x86-64 have 4k, and large ones follow from their level; leave --granule out")
        return regimes.bare_regime(name)

    def from_stub(self, name: str, stub: Stub) -> int | None:
        if name == local_apic.PENDING:
            return local_apic.pending_of(stub)
        if name == "idtr":
            return idtr_of(stub)
        return task_of(stub) if name == "tr" else stub.register(name)

    def privilege(self, register: ReadRegister) -> Privilege:
        return regimes.privilege(register)

    def state(self, register: ReadRegister) -> int:
        return optional(register, "eflags") or 0

    def regimes(self, register: ReadRegister, name: str | None = None) -> tuple[Regime, ...]:
        return regimes.ranges(register, name)

    def regime_for(self, register: ReadRegister, address: Input, name: str | None = None) -> Regime:  # noqa: ARG002
        return regimes.regime(register, name)

    def rooted(self, register: ReadRegister, name: str | None, root: int) -> Mapping[str, int]:  # noqa: ARG002
        """Return the register that would have the tables of a regime begin at a root."""
        return {ROOTS.get(name or "", "cr3"): root}

    def met_by(self, regime: Regime, access: Access, register: ReadRegister) -> tuple[Regime, Access]:
        """Return a regime as an access meets it: what fetches instructions has no bits that do not count."""
        if access.kind.is_shadow_stack and not CR4.CET.of(register("cr4")):
            raise UsageError("there are no shadow stacks while cr4.CET is 0; suppose them: --with cr4.CET=1")
        if access.kind is AccessKind.EXECUTE and isinstance(regime, Linear):
            regime = replace(regime, masking=None)
        return regime, replace(access, privilege=USER) if access.unprivileged else access

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        regime = walk.regime
        if isinstance(regime, Linear):
            return regime.check(walk, access.kind, access.privilege, bool(EFLAGS(state).AC))
        if isinstance(regime, SecondStage):
            return regime.check(walk, access.kind, access.privilege.is_user)
        assert isinstance(regime, PagingOff), "there are no others"
        return regime.check(walk, access.kind)

    def status(self, fault: Fault, access: Access | None = None, walk: Walk | None = None) -> int | None:
        """Return the error code of the page fault, or what the VM exit says; None where that is none."""
        if access is None:
            return None
        if fault.stage > 1:
            return None if walk is None else _exit(fault, access, walk)
        if fault.kind not in PageFaultCode.KINDS:
            return None
        return int(PageFaultCode.of_fault(fault, access, walk is not None and regimes.tells_fetches(walk.regime)))

    def vector(self, fault: Fault) -> int | None:
        if fault.stage > 1:
            return None
        return GENERAL_PROTECTION if fault.kind is FaultKind.GENERAL_PROTECTION else PAGE_FAULT

    def called(self, fault: Fault, kind: AccessKind | None, walk: Walk | None = None) -> str:  # noqa: ARG002
        """Return the name of the exception, with what its error code says of the reason."""
        if fault.stage > 1:
            return "" if walk is None else _exit_called(fault, walk)
        if fault.kind is FaultKind.GENERAL_PROTECTION:
            return "general protection (#GP(0); #SS(0) through the stack)"
        if fault.kind not in REASONS:
            return ""
        return f"page fault (#PF): {REASONS[fault.kind]}{_level(fault)}"

    def privileges_of(self, regime: Regime) -> tuple[Privilege, ...]:  # noqa: ARG002
        return LEVELS


def _level(fault: Fault) -> str:
    return "" if fault.level is None else f", level {fault.level}"


def _exit(fault: Fault, access: Access, walk: Walk) -> int | None:
    """Return what a VM exit says of a fault of the second stage."""
    below, is_table = second_walk(walk, fault)
    if below is None or not isinstance(below.regime, SecondStage):
        return None
    page = None
    if isinstance(walk.regime, PagingOff):
        page = GuestPage(user=True)
    elif isinstance(walk.regime, Linear) and walk.leaf is not None:
        page = walk.regime.page_of(walk.steps)
    return below.regime.status(below, fault, access, is_table, page)


def _exit_called(fault: Fault, walk: Walk) -> str:
    regime = walk.regime if isinstance(walk.regime, SecondStage) else walk.regime.below
    if not isinstance(regime, SecondStage):
        return ""
    return f"{regime.called(fault)}{' of a guest table walk' if fault.s1ptw else ''}{_level(fault)}"


X86_64: Final = X86()
