"""System registers that are many of a kind, numbered in their encoding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gdbtools.arch.aarch64.registers.family_numbers import (
    IN_CRm0_op2,
    IN_CRm1_op2,
    IN_CRm2,
    IN_CRm2_op22,
    IN_CRm3_1,
    IN_op20_CRm,
    IN_op20_CRm3_1,
    IN_op20_CRm3_2,
    IN_op22_CRm,
)
from gdbtools.bits import Field


@dataclass(frozen=True, slots=True)
class RegisterFamily:
    """Registers that differ in a number alone.

    `fixed` are the bits of CRm:op2 that all share, and `n` those where the manual writes the number.
    """

    name: str
    fixed: int
    n: Field
    numbers: range


_IN_CRm = Field((6, 3))


# By op0, op1 and CRn.
FAMILIES: Mapping[tuple[int, ...], tuple[RegisterFamily, ...]] = {
    (2, 0, 0): (
        RegisterFamily("DBGBVR{}_EL1", 0b0000_100, _IN_CRm, range(16)),
        RegisterFamily("DBGBCR{}_EL1", 0b0000_101, _IN_CRm, range(16)),
        RegisterFamily("DBGWVR{}_EL1", 0b0000_110, _IN_CRm, range(16)),
        RegisterFamily("DBGWCR{}_EL1", 0b0000_111, _IN_CRm, range(16)),
    ),
    (2, 0, 14): (RegisterFamily("PMEVCNTSVR{}_EL1", 0b1000_000, IN_CRm1_op2, range(31)),),
    (2, 1, 1): (
        RegisterFamily("TRCRSCTLR{}", 0b0000_000, IN_op20_CRm, range(2, 32)),
        RegisterFamily("TRCSSCCR{}", 0b0000_010, IN_CRm2, range(8)),
        RegisterFamily("TRCSSCSR{}", 0b1000_010, IN_CRm2, range(8)),
        RegisterFamily("TRCSSPCICR{}", 0b0000_011, IN_CRm2, range(8)),
    ),
    (2, 1, 2): (
        RegisterFamily("TRCACVR{}", 0b0000_000, IN_op20_CRm3_1, range(16)),
        RegisterFamily("TRCACATR{}", 0b0000_010, IN_op20_CRm3_1, range(16)),
        RegisterFamily("TRCDVCVR{}", 0b0000_100, IN_op20_CRm3_2, range(8)),
        RegisterFamily("TRCDVCMR{}", 0b0000_110, IN_op20_CRm3_2, range(8)),
    ),
    (2, 1, 3): (
        RegisterFamily("TRCCIDCVR{}", 0b0000_000, IN_CRm3_1, range(8)),
        RegisterFamily("TRCVMIDCVR{}", 0b0000_001, IN_CRm3_1, range(8)),
    ),
    (2, 1, 8): (
        RegisterFamily("BRBINF{}_EL1", 0b0000_000, IN_op22_CRm, range(32)),
        RegisterFamily("BRBSRC{}_EL1", 0b0000_001, IN_op22_CRm, range(32)),
        RegisterFamily("BRBTGT{}_EL1", 0b0000_010, IN_op22_CRm, range(32)),
    ),
    (2, 3, 14): (
        RegisterFamily("SPMEVCNTR{}_EL0", 0b0000_000, IN_CRm0_op2, range(16)),
        RegisterFamily("SPMEVTYPER{}_EL0", 0b0010_000, IN_CRm0_op2, range(16)),
        RegisterFamily("SPMEVFILTR{}_EL0", 0b0100_000, IN_CRm0_op2, range(16)),
        RegisterFamily("SPMEVFILT2R{}_EL0", 0b0110_000, IN_CRm0_op2, range(16)),
    ),
    **{
        (3, op1, 3): (
            RegisterFamily(f"FGDTP{{}}_{suffix}", 0b0010_000, IN_CRm0_op2, range(16)),
            RegisterFamily(f"FGDTU{{}}_{suffix}", 0b0100_000, IN_CRm0_op2, range(16)),
            RegisterFamily(f"AFGDTP{{}}_{suffix}", 0b0110_000, IN_CRm0_op2, range(16)),
            RegisterFamily(f"AFGDTU{{}}_{suffix}", 0b1000_000, IN_CRm0_op2, range(16)),
        )
        for op1, suffix in ((0, "EL1"), (4, "EL2"), (5, "EL12"))
    },
    (3, 6, 3): (
        RegisterFamily("FGDTP{}_EL3", 0b0010_000, IN_CRm0_op2, range(16)),
        RegisterFamily("AFGDTP{}_EL3", 0b0110_000, IN_CRm0_op2, range(16)),
    ),
    # Of the regions of PMSAv8-64, the first has no number: it is the one that PRSELR selects.
    (3, 0, 6): (
        RegisterFamily("PRBAR{}_EL1", 0b1000_000, IN_CRm2_op22, range(1, 16)),
        RegisterFamily("PRLAR{}_EL1", 0b1000_001, IN_CRm2_op22, range(1, 16)),
    ),
    (3, 4, 6): (
        RegisterFamily("PRBAR{}_EL2", 0b1000_000, IN_CRm2_op22, range(1, 16)),
        RegisterFamily("PRLAR{}_EL2", 0b1000_001, IN_CRm2_op22, range(1, 16)),
    ),
    (3, 0, 12): (RegisterFamily("ICC_PPI_PRIORITYR{}_EL1", 0b1110_000, IN_CRm0_op2, range(16)),),
    (3, 4, 12): (
        RegisterFamily("ICH_LR{}_EL2", 0b1100_000, IN_CRm0_op2, range(16)),
        RegisterFamily("ICH_PPI_PRIORITYR{}_EL2", 0b1110_000, IN_CRm0_op2, range(16)),
    ),
    (3, 3, 13): (
        RegisterFamily("AMEVCNTR0{}_EL0", 0b0100_000, IN_CRm0_op2, range(4)),
        RegisterFamily("AMEVTYPER0{}_EL0", 0b0110_000, IN_CRm0_op2, range(4)),
        RegisterFamily("AMEVCNTR1{}_EL0", 0b1100_000, IN_CRm0_op2, range(16)),
        RegisterFamily("AMEVTYPER1{}_EL0", 0b1110_000, IN_CRm0_op2, range(16)),
    ),
    (3, 4, 13): (
        RegisterFamily("AMEVCNTVOFF0{}_EL2", 0b1000_000, IN_CRm0_op2, range(16)),
        RegisterFamily("AMEVCNTVOFF1{}_EL2", 0b1010_000, IN_CRm0_op2, range(16)),
    ),
    (3, 3, 14): (
        RegisterFamily("PMEVCNTR{}_EL0", 0b1000_000, IN_CRm1_op2, range(31)),
        RegisterFamily("PMEVTYPER{}_EL0", 0b1100_000, IN_CRm1_op2, range(31)),
    ),
}
