"""AArch64: the VMSAv8-64 translation system, as one `Architecture`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gdbtools.arch.aarch64 import permissions, regimes, registers, stage1, syndrome
from gdbtools.arch.aarch64.descriptors import AP_READ_ONLY, LeafDescriptor, software_bit
from gdbtools.arch.aarch64.registers import SPSR, VBAR
from gdbtools.arch.architecture import Architecture, DirtyConvention, ExceptionRecord
from gdbtools.arch.model import Access, Fault, ReadRegister, Refusal, Regime, Syndrome, Walk
from gdbtools.bits import FieldValue, Word
from gdbtools.errors import Refused

# DDI 0487, "Exception vectors": the synchronous entry of each quarter of the vector table.
VECTOR_ENTRIES: Final[Mapping[int, str]] = {
    0x000: "current EL, SP_EL0",
    0x200: "current EL, SP_ELx",
    0x400: "lower EL, AArch64",
    0x600: "lower EL, AArch32",
}
DECLARED: Final[Mapping[str, type[Word]]] = {
    "TTBR0_EL1": registers.TTBR,
    "TTBR1_EL1": registers.TTBR,
    "TCR_EL1": registers.TCR_EL1,
    "TCR2_EL1": registers.TCR2_EL1,
    "SCTLR_EL1": registers.SCTLR_EL1,
    "MAIR_EL1": registers.MAIR_EL1,
    "ID_AA64MMFR0_EL1": registers.ID_AA64MMFR0_EL1,
    "ID_AA64MMFR1_EL1": registers.ID_AA64MMFR1_EL1,
    "ID_AA64MMFR2_EL1": registers.ID_AA64MMFR2_EL1,
    "ESR_EL1": syndrome.ESR_ELx,
    "FAR_EL1": registers.FAR,
    "ELR_EL1": registers.ELR,
    "SPSR_EL1": registers.SPSR,
    "VBAR_EL1": registers.VBAR,
    "CONTEXTIDR_EL1": registers.CONTEXTIDR,
    "cpsr": registers.SPSR,
    "HCR_EL2": registers.HCR_EL2,
}


class AArch64(Architecture):
    """The Arm 64-bit architecture: EL1&0, stage 1."""

    name = "aarch64"
    registers = DECLARED
    pc = "pc"
    general = (*(f"x{n}" for n in range(31)), "sp", "pc", "cpsr")
    return_instruction = (0xD69F03E0).to_bytes(4, "little")  # eret

    def level(self, register: ReadRegister) -> int:
        return SPSR(register("cpsr")).el

    def state(self, register: ReadRegister) -> int:
        return register("cpsr")

    def regimes(self, register: ReadRegister) -> tuple[Regime, ...]:
        return regimes.regimes(register)

    def regime_for(self, register: ReadRegister, address: int) -> Regime:
        return regimes.regime_for(register, address)

    def check(self, walk: Walk, access: Access, state: int) -> Refusal | None:
        regime = walk.regime
        if access.el == 0 and isinstance(regime, stage1.Stage1) and (refused := regime.admit_user()):
            return refused
        granted = None
        if isinstance(regime, stage1.Stage1) and walk.leaf is not None:
            granted = regime.effective(walk.steps)
        return permissions.check(walk, access, state, granted)

    def decode_syndrome(self, value: int) -> Syndrome:
        return syndrome.decode(value)

    def status(self, fault: Fault) -> int | None:
        return syndrome.status(fault)

    def syndrome(self, register: ReadRegister) -> Syndrome:
        return syndrome.decode(register("ESR_EL1"))

    def context(self, register: ReadRegister) -> tuple[int, ...]:
        return register("VBAR_EL1"), register("TTBR0_EL1"), register("TTBR1_EL1")

    def exception(self, register: ReadRegister) -> ExceptionRecord:
        """Join ESR, FAR, ELR and SPSR of EL1, the level that takes what EL1&0 raises; elsewhere they are stale."""
        regimes.refuse_what_is_not_decoded(register)
        state = register("SPSR_EL1")
        return ExceptionRecord(
            target=1,
            syndrome=self.syndrome(register),
            address=register("FAR_EL1"),
            return_address=register("ELR_EL1"),
            el=SPSR(state).el,
            state=state,
        )

    def vectors(self, register: ReadRegister) -> Mapping[int, str]:
        regimes.refuse_what_is_not_decoded(register)
        base = VBAR(register("VBAR_EL1")).ADDRESS
        return {base + offset: entry for offset, entry in VECTOR_ENTRIES.items()}

    def repair_access_flag(self, leaf: Word, written: bool, convention: DirtyConvention) -> Word:
        """Set AF and, if the access was a write, record it by the guest's convention.

        The DBM rule is the hardware's own under TCR_EL1.HD: a write to a leaf with DBM=1 clears AP[2] (section
        "Hardware management of the dirty state").
        """
        if not isinstance(leaf, LeafDescriptor):
            raise Refused("only a block or a page descriptor has an access flag to set; `mmu fault` shows the walk")
        accessed = leaf.with_(AF=1)
        if not written or convention is DirtyConvention.NONE:
            return accessed
        if convention is DirtyConvention.DBM:
            return accessed.with_(AP=accessed.AP & ~AP_READ_ONLY) if accessed.DBM else accessed
        return type(leaf)(software_bit(int(convention.value.removeprefix("bit"))).into(accessed, 1))

    def access_flag_controls(self, register: ReadRegister) -> Sequence[tuple[str, FieldValue]]:
        tcr, mmfr1 = registers.TCR_EL1(register("TCR_EL1")), regimes.optional(register, "ID_AA64MMFR1_EL1")
        controls = [("TCR_EL1", FieldValue(registers.TCR_EL1.HA, tcr.HA))]
        if mmfr1 is not None:
            hafdbs = registers.ID_AA64MMFR1_EL1.HAFDBS
            controls.append(("ID_AA64MMFR1_EL1", FieldValue(hafdbs, hafdbs.of(mmfr1))))
        return controls

    def hardware_access_flag(self, register: ReadRegister) -> bool:
        return all(control.value for _, control in self.access_flag_controls(register))


ARCHITECTURE: Final = AArch64()
