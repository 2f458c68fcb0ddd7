"""What the PE implements, as far as translation asks, and what stands in where a source lacks the ID registers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from gdbtools.arch.aarch64.registers.identification import (
    ID_AA64MMFR0_EL1,
    ID_AA64MMFR1_EL1,
    ID_AA64MMFR2_EL1,
    ID_AA64MMFR3_EL1,
)
from gdbtools.arch.aarch64.registers.translation import SCTLR
from gdbtools.arch.aarch64.tables.geometry import GRANULE_BITS, PHYSICAL_BITS
from gdbtools.arch.model import ReadRegister, optional

FEAT_PAN3 = 3
"""ID_AA64MMFR1_EL1.PAN, from which on SCTLR_ELx.EPAN means something."""
FEAT_HAFT = 3
"""ID_AA64MMFR1_EL1.HAFDBS, from which on tables have an access flag."""
ABSENT = 0b1111
LPA2_STAGE2 = 3
"""ID_AA64MMFR0_EL1.TGranN_2 of a granule with 52-bit addresses at stage 2."""

ASSUMED: Mapping[str, str] = MappingProxyType(
    {
        "ID_AA64MMFR0_EL1": "ID_AA64MMFR0_EL1: PARange as the output size that is configured, every granule, LPA2",
        "ID_AA64MMFR1_EL1": "ID_AA64MMFR1_EL1: HAFDBS=2, HPDS=1, PAN=3, XNX=1, CMOW=1",
        "ID_AA64MMFR2_EL1": "ID_AA64MMFR2_EL1: ST=0, VARange=1, E0PD=1, FWB=1",
    }
)
"""What stands in for a register that the source does not have, in words.  Without MMFR3, TCR2_ELx is believed."""
STAND_INS: Mapping[str, int] = MappingProxyType(
    {
        "ID_AA64MMFR0_EL1": int(ID_AA64MMFR0_EL1(0).with_(TGran16=2, TGran4=1)),
        "ID_AA64MMFR1_EL1": int(ID_AA64MMFR1_EL1(0).with_(HAFDBS=2, HPDS=1, PAN=FEAT_PAN3, XNX=1, CMOW=1)),
        "ID_AA64MMFR2_EL1": int(ID_AA64MMFR2_EL1(0).with_(VARange=1, E0PD=1, FWB=1)),
        # Absent from a source, or from QEMU before 8: then the controls themselves say what is in use.
        "ID_AA64MMFR3_EL1": int(ID_AA64MMFR3_EL1(0).with_(S1PIE=1, S1POE=1, S2PIE=1)),
        **{f"SCTLR_EL{el}": int(SCTLR(0).with_(M=1, C=1, I=1)) for el in (1, 2, 3)},
        **dict.fromkeys(("HCR_EL2", "HCRX_EL2", "TCR2_EL1", "TCR2_EL2"), 0),
    }
)
"""The same, but for PARange, as values; and of controls that may be absent, what the regimes take them for."""


@dataclass(frozen=True, slots=True)
class Features:
    """The features that decide how tables are read; `assumed` says which of them were not read from the PE."""

    physical_bits: int | None
    """ID_AA64MMFR0_EL1.PARange; None where it is not known."""
    granules: tuple[str, ...]
    granules_stage2: tuple[str, ...]
    lpa2: tuple[str, ...]
    """The granules that have 52-bit output addresses by TCR_ELx.DS (FEAT_LPA2)."""
    lpa2_stage2: tuple[str, ...]
    small_tables: bool
    """FEAT_TTST."""
    large_addresses: bool
    """FEAT_LVA: 52-bit input addresses at 64KB."""
    access_flag: bool
    dirty_state: bool
    """FEAT_HAFDBS, its two parts."""
    hierarchical_disable: bool
    """FEAT_HPDS."""
    pan_execution: bool
    """FEAT_PAN3."""
    execute_never_by_level: bool
    """FEAT_XNX."""
    e0pd: bool
    maintenance_writes: bool
    """FEAT_CMOW."""
    tables_accessed: bool
    """FEAT_HAFT."""
    forced_write_back: bool
    """FEAT_S2FWB."""
    indirection: bool
    overlays: bool
    indirection_stage2: bool
    assumed: tuple[str, ...]

    def granule(self, asked: str, stage: int) -> str:
        """Return the granule in force: a reserved or unimplemented one is taken for one that the PE has.

        Which one is IMPLEMENTATION DEFINED ("TCR_EL1.TG0"); like QEMU, the smallest.
        """
        present = self.granules if stage == 1 else self.granules_stage2
        return asked if asked in present else next(iter(present), "4KB")


IDENTIFICATION = ("ID_AA64MMFR0_EL1", "ID_AA64MMFR1_EL1", "ID_AA64MMFR2_EL1", "ID_AA64MMFR3_EL1")


def features(register: ReadRegister) -> Features:
    """Read the identification registers that the source has."""
    return _features(tuple(optional(register, name) for name in IDENTIFICATION))


@cache
def _features(values: tuple[int | None, ...]) -> Features:
    absent = [name for name, value in zip(IDENTIFICATION, values, strict=True) if value is None]
    mmfr0, mmfr1, mmfr2, mmfr3 = values
    sizes = ID_AA64MMFR0_EL1(STAND_INS["ID_AA64MMFR0_EL1"] if mmfr0 is None else mmfr0)
    limits = ID_AA64MMFR1_EL1(STAND_INS["ID_AA64MMFR1_EL1"] if mmfr1 is None else mmfr1)
    ranges = ID_AA64MMFR2_EL1(STAND_INS["ID_AA64MMFR2_EL1"] if mmfr2 is None else mmfr2)
    extended = ID_AA64MMFR3_EL1(STAND_INS["ID_AA64MMFR3_EL1"] if mmfr3 is None else mmfr3)
    first = {"4KB": sizes.TGran4 != ABSENT, "16KB": sizes.TGran16 != 0, "64KB": sizes.TGran64 != ABSENT}
    own = {"4KB": sizes.TGran4_2, "16KB": sizes.TGran16_2, "64KB": sizes.TGran64_2}
    wide = {"4KB": sizes.TGran4 == 1, "16KB": sizes.TGran16 == 2}
    return Features(
        physical_bits=None if mmfr0 is None else PHYSICAL_BITS.get(sizes.PARange, 48),
        granules=_having(first),
        granules_stage2=_having({name: own[name] > 1 if own[name] else has for name, has in first.items()}),
        lpa2=_having(wide),
        lpa2_stage2=_having({name: own[name] == LPA2_STAGE2 if own[name] else has for name, has in wide.items()}),
        small_tables=bool(ranges.ST),
        large_addresses=bool(ranges.VARange),
        access_flag=limits.HAFDBS >= 1,
        dirty_state=limits.HAFDBS >= 2,
        hierarchical_disable=bool(limits.HPDS),
        pan_execution=limits.PAN >= FEAT_PAN3,
        execute_never_by_level=bool(limits.XNX),
        e0pd=bool(ranges.E0PD),
        maintenance_writes=bool(limits.CMOW),
        tables_accessed=limits.HAFDBS >= FEAT_HAFT,
        forced_write_back=bool(ranges.FWB),
        indirection=bool(extended.S1PIE),
        overlays=bool(extended.S1POE),
        indirection_stage2=bool(extended.S2PIE),
        assumed=tuple(ASSUMED[name] for name in absent if name in ASSUMED),
    )


def _having(granules: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name in GRANULE_BITS if granules.get(name))
