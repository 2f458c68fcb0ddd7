"""What a fault itself shows of a control that its source does not have, where the tables then refuse just this.

Source: DDI 0487, "MMU fault types": an Address size fault is of the physical address size, the smaller of TCR_ELx.IPS
and ID_AA64MMFR0_EL1.PARange, and at level 0 of the base in TTBRn_ELx, too; "ID_AA64MMFR1_EL1.HAFDBS"; "PSTATE.PAN".
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gdbtools.arch.aarch64.registers.identification import ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1
from gdbtools.arch.aarch64.registers.processor_state import SPSR
from gdbtools.arch.aarch64.tables.descriptors import LeafDescriptor
from gdbtools.arch.aarch64.tables.entries import refuse_entry
from gdbtools.arch.aarch64.tables.geometry import PHYSICAL_BITS
from gdbtools.arch.aarch64.translation.stage1 import Stage1
from gdbtools.arch.aarch64.translation.stage2 import Stage2
from gdbtools.arch.model import Fault, FaultKind, ReadRegister, Refusal, Shown, Step, Walk, optional

_SIZES: Final = "ID_AA64MMFR0_EL1"
_UPDATES: Final = "ID_AA64MMFR1_EL1"


def address_size(fault: Fault, found: Walk, register: ReadRegister) -> Shown | None:
    """Return the size of physical addresses that explains an Address size fault; None where it is known, or none does.

    Whatever was fetched on the way there was within it.
    """
    asked = _walk_of(fault, found)
    if fault.kind is not FaultKind.ADDRESS_SIZE or asked is None or optional(register, _SIZES) is not None:
        return None
    regime = asked.regime
    if not isinstance(regime, Stage1 | Stage2) or not regime.levels:
        return None
    before = [step for step in asked.steps if fault.level is not None and step.level.number < fault.level]
    at = next((step for step in asked.steps if step.level.number == fault.level), None)
    passed = max((step.entry.address.bit_length() for step in before), default=0)
    of_root = fault.level == 0 and (at is None or regime.root.bit_length() >= at.entry.address.bit_length())
    if of_root:
        needed = regime.root.bit_length()
        refusal = replace(regime, output_bits=needed - 1).admit(asked.input)
    elif at is not None:
        needed, passed = at.entry.address.bit_length(), max(passed, regime.root.bit_length())
        refusal = refuse_entry(at, regime.stage, needed - 1, hardware_access_flag=False)
    else:
        return None
    sizes = {bits: code for code, bits in PHYSICAL_BITS.items() if passed <= bits < needed}
    if refusal is None or refusal.fault != fault or not sizes:
        return None
    least = f", and the tables on the way {passed} or more" if passed > min(PHYSICAL_BITS.values()) else ""
    root = "; at level 0 the base in the TTBR, or TCR's IPS, may be meant, too" if fault.level == 0 else ""
    named = ", ".join(f"{bits} bits (PARange={code:#06b})" for bits, code in sorted(sizes.items()))
    said = (
        f"not known, as there is no {_SIZES}: the fault shows fewer than {needed} bits{least}: {named}{root}; "
        f"try another with --with {_SIZES}.PARange=N"
    )
    return Shown(refusal, _SIZES, ID_AA64MMFR0_EL1.PARange, tuple(sorted(sizes.values())), "physical address", said)


def access_flag(fault: Fault, found: Walk, register: ReadRegister) -> Shown | None:
    """Return that hardware does not set access flags, where one is clear and the source does not say who sets it."""
    asked = _walk_of(fault, found)
    if fault.kind is not FaultKind.ACCESS_FLAG or asked is None or optional(register, _UPDATES) is not None:
        return None
    leaf, regime = asked.leaf, asked.regime
    if leaf is None or not isinstance(regime, Stage1 | Stage2) or not isinstance(leaf.entry.word, LeafDescriptor):
        return None
    refusal = _refused_by_flag(leaf, regime)
    if refusal is None or refusal.fault != fault:
        return None
    said = f"not known, as there is no {_UPDATES}: the fault shows that hardware does not set access flags here"
    return Shown(refusal, _UPDATES, ID_AA64MMFR1_EL1.HAFDBS, (0,), "hardware", said)


def _refused_by_flag(leaf: Step, regime: Stage1 | Stage2) -> Refusal | None:
    return refuse_entry(leaf, regime.stage, regime.output_bits, hardware_access_flag=False)


def privileged_access_never(fault: Fault, refusal: Refusal | None) -> Shown | None:
    """Return that PSTATE.PAN was set, where it explains a fault (`refusal` is what it refuses) and no SPSR says so."""
    if refusal is None or refusal.fault != fault:
        return None
    said = "PAN is not known, as there is no SPSR: the fault shows that it was set"
    return Shown(refusal, "PSTATE", SPSR.PAN, (1,), "PSTATE", said)


def _walk_of(fault: Fault, found: Walk) -> Walk | None:
    if fault.s1ptw:
        return None
    return found.final if fault.stage == 2 else found
