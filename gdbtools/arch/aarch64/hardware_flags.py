"""How hardware is asked to set AF, and to clear AP[2] of what is written: TCR_ELx.HA and HD, by a borrowed MSR.

Source: DDI 0487, "Hardware management of the Access flag", "Hardware management of the dirty state"; "TCR_EL1", where
HA and HD are permitted to be cached in a TLB; "ID_AA64MMFR1_EL1.HAFDBS".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gdbtools.arch.aarch64.instructions.gadgets import ISB, system
from gdbtools.arch.aarch64.instructions.system_instructions import Operation
from gdbtools.arch.aarch64.registers.hypervisor import HCR_EL2
from gdbtools.arch.aarch64.registers.identification import ID_AA64MMFR1_EL1
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.syndrome import EC, decode
from gdbtools.arch.aarch64.syndrome.trapped.system import TrappedSystem
from gdbtools.arch.aarch64.translation import regimes
from gdbtools.arch.aarch64.translation.controls import Controls, of_regime
from gdbtools.arch.aarch64.traps.deciders import deciders
from gdbtools.arch.gadgets import Borrowable
from gdbtools.arch.hardware_flags import ControlChange, ControlChanges, HardwareFlags
from gdbtools.arch.model import ReadRegister, optional
from gdbtools.errors import Refused

_ACCESS_FLAG, _DIRTY_STATE = 1, 2
"""ID_AA64MMFR1_EL1.HAFDBS, from which on hardware sets either."""
_IN_SOFTWARE: Final = {
    _ACCESS_FLAG: ("access flags", "`mmu fixup` sets one, `mmu service` each that faults, or take a CPU that has it"),
    _DIRTY_STATE: ("dirty state", "`mmu service --kinds dirty` does so at each fault, or take a CPU that has it"),
}
"""What is missing, and what to do without it."""
_GO_ON: Final = "stop where every CPU is in one kernel"
_WRITES: Final = {
    "TCR_EL1": Operation(3, 0, 2, 0, 2),
    "TCR_EL2": Operation(3, 4, 2, 0, 2),
}


class A64Flags(HardwareFlags):
    """TCR_ELx.HA and HD, which only the level that they are of, or one above it, writes."""

    dirty_meaning = "a write to a leaf with DBM=1 clears its AP[2], and does not fault; a leaf with DBM=0 is as before"

    def regime(self, register: ReadRegister) -> str:
        return regimes.current(register)

    def changes(self, register: ReadRegister, regime: str, on: bool, dirty: bool) -> ControlChanges:
        _able(register, _DIRTY_STATE if dirty else _ACCESS_FLAG)
        if (own := regimes.current(register)) != regime:
            raise Refused(f"it is in the regime {own}, and {regime} is asked about; {_GO_ON}")
        if not any(each.levels for each in regimes.regimes(register)):
            return ControlChanges((), "its MMU is off; software turns it on as it is used to")
        controls = of_regime(regime)
        name = controls.register("TCR")
        before = controls.layout(register(name))
        after = controls.layout(_asked(controls, before, on, dirty))
        if before == after:
            return ControlChanges((), "it is so already")
        return ControlChanges((ControlChange(name, before, after),))

    def waits(self, register: ReadRegister) -> bool:
        return not SPSR(register("cpsr")).el

    def writes(self, change: ControlChange, register: ReadRegister) -> Sequence[Sequence[Borrowable]]:
        el, own = SPSR(register("cpsr")).el, _WRITES.get(change.register)
        if own is None or not el:
            raise Refused(f"it is at EL{el}, which may not write {change.register}; {_GO_ON}")
        of_level_1 = _WRITES["TCR_EL1"]
        names = [own]
        if el == 1 and own is of_level_1:
            _untrapped(change.register, own, register)
        elif el == 2 and own is not of_level_1:
            # "System and Special-purpose register redirection": with E2H the name of EL1's register is EL2's.
            names += [of_level_1] if HCR_EL2(optional(register, "HCR_EL2") or 0).E2H else []
        else:
            raise Refused(f"it is at EL{el}, and {change.register} is not that level's own; {_GO_ON}")
        return [[system(operation, int(change.after)) for operation in names], [ISB]]


def _asked(controls: Controls, before: int, on: bool, dirty: bool) -> int:
    """Return a TCR_ELx that asks for what is wanted: HD without HA does nothing, and is not left behind."""
    after = controls.HA.into(before, int(on))
    return after if on and not dirty else controls.HD.into(after, int(on))


def _able(register: ReadRegister, least: int) -> None:
    found = ID_AA64MMFR1_EL1(register("ID_AA64MMFR1_EL1")).HAFDBS
    if found < least:
        what, instead = _IN_SOFTWARE[least]
        raise Refused(f"its hardware sets no {what} (ID_AA64MMFR1_EL1.HAFDBS={found:#06b}); {instead}")


def _untrapped(name: str, operation: Operation, register: ReadRegister) -> None:
    """Raise `Refused` where a hypervisor has this write trap, by any of its controls."""
    parts = dict(zip(("Op0", "Op1", "CRn", "CRm", "Op2"), operation, strict=True))
    trapped = TrappedSystem(0).with_(EC=EC.SYSTEM, **parts)
    by = deciders(decode(trapped), 1, 2, register)
    if by:
        which = ", ".join(f"{holder}.{value.field.name}" for holder, value in by)
        raise Refused(f"{which} has its write of {name} trap to EL2, and it cannot be borrowed")
