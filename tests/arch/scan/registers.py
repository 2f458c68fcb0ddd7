"""The registers that tables are reached by, as raw numbers, and the regimes that they make."""

from __future__ import annotations

from gdbtools.arch import ARCHITECTURES
from gdbtools.arch.model import Regime
from tests.arch.scan.layouts import Builder, Format
from tests.tables import reader

ARM = ARCHITECTURES["aarch64"]
# ID_AA64MMFR0_EL1: PARange [3:0], TGran16 [23:20] = 52 bits, TGran4 [31:28] = 52 bits; MMFR2: VARange [19:16].
FEATURES = {"ID_AA64MMFR0_EL1": 6 | 2 << 20 | 1 << 28, "ID_AA64MMFR1_EL1": 2 | 1 << 12 | 1 << 28,
            "ID_AA64MMFR2_EL1": 1 << 16 | 1 << 28, "ID_AA64MMFR3_EL1": 0, "HCR_EL2": 0, "cpsr": 5}  # fmt: skip
PS = {32: 0, 36: 1, 40: 2, 42: 3, 44: 4, 48: 5, 52: 6}
WRITE_BACK, DEVICE, NON_CACHEABLE = 0, 1, 2
MAIR = 0xFF | 0x04 << 8 | 0x44 << 16


def stage1_registers(layout: Format, root: int, **changes: int) -> dict[str, int]:
    tg0, tg1 = {12: (0, 2), 14: (2, 1), 16: (1, 3)}[layout.granule]
    size = 64 - layout.input_bits
    tcr = size | size << 16 | tg0 << 14 | tg1 << 30 | PS[layout.output_bits] << 32 | 3 << 12 | 3 << 28
    tcr |= 1 << 59 if layout.wide == "lpa2" else 0
    # For 64KB it is the PE that decides the layout: PARange.
    wide = 6 if layout.granule != 16 or layout.wide else 5
    return {
        **FEATURES,
        "ID_AA64MMFR0_EL1": FEATURES["ID_AA64MMFR0_EL1"] & ~0xF | wide,
        "SCTLR_EL1": 1 | 1 << 2 | 1 << 12 | layout.big << 25,
        "TCR_EL1": tcr,
        "TTBR0_EL1": layout.ttbr(root),
        "TTBR1_EL1": layout.ttbr(root),
        "MAIR_EL1": MAIR,
        **changes,
    }


def stage1(builder: Builder, **changes: int) -> Regime:
    registers = stage1_registers(builder.layout, builder.root, **changes)
    return ARM.regime_for(reader(registers), builder.layout.base, "el1")


def stage2_registers(layout: Format, root: int, **changes: int) -> dict[str, int]:
    tg0 = {12: 0, 14: 2, 16: 1}[layout.granule]
    sl0 = {12: {2: 0, 1: 1, 0: 2, 3: 3}, 14: {3: 0, 2: 1, 1: 2}, 16: {3: 0, 2: 1, 1: 2}}[layout.granule][layout.start]
    vtcr = 64 - layout.input_bits | sl0 << 6 | 3 << 12 | tg0 << 14 | PS[layout.output_bits] << 16 | 1 << 31
    return {
        **FEATURES,
        "ID_AA64MMFR0_EL1": 5 | 1 << 20,
        "HCR_EL2": 1,
        "VTCR_EL2": vtcr,
        "VTTBR_EL2": layout.ttbr(root),
        "SCTLR_EL2": layout.big << 25,
        **changes,
    }
