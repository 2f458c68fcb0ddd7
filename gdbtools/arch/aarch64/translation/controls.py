"""Which registers govern each stage 1 regime, and where in them the fields are.

TCR_EL1 has two ranges; TCR_EL2 is laid out like it when HCR_EL2.E2H is set (R_QLSFG), and otherwise, like TCR_EL3, has
one (R_ZQYNV).
Source: DDI 0487, "Translation regimes", and the registers' own sections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gdbtools.arch.aarch64.registers.translation import TCR2, TCR_EL1, TCR_EL2, TCR_EL3, TG0_GRANULE, TG1_GRANULE
from gdbtools.bits import Field, Word


@dataclass(frozen=True, slots=True)
class RangeControls:
    """One range of a stage 1: its table base register and its fields of TCR_ELx; none or one of the last two.

    TCR_ELx.NFDn is not among them: it is about non-fault and speculative SVE accesses, which nobody asks about here.
    """

    ttbr: str
    upper: bool
    TnSZ: Field
    TGn: Field
    granules: Mapping[int, str]
    SHn: Field
    TBIn: Field
    TBIDn: Field
    MTXn: Field
    HPDn: Field
    EPDn: tuple[Field, ...] = ()
    E0PDn: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class Controls:
    """The registers of one stage 1 regime.  `el` is its privileged level; `user` says that EL0 runs in it too."""

    name: str
    el: int
    user: bool
    ranges: tuple[RangeControls, ...]
    layout: type[Word]
    PS: Field
    HA: Field
    HD: Field
    DS: Field
    extended: tuple[str, type[Word]]
    """The register that turns on permission indirection and overlays: TCR2_ELx; TCR_EL3 does so itself."""

    def register(self, name: str) -> str:
        """Return a register's full name: `TCR` is TCR_EL1, TCR_EL2 or TCR_EL3."""
        return f"{name}_EL{self.el}"


def _two_ranges(level: str) -> tuple[RangeControls, RangeControls]:
    lower = RangeControls(
        ttbr=f"TTBR0_{level}",
        upper=False,
        TnSZ=TCR_EL1.T0SZ,
        TGn=TCR_EL1.TG0,
        granules=TG0_GRANULE,
        SHn=TCR_EL1.SH0,
        TBIn=TCR_EL1.TBI0,
        TBIDn=TCR_EL1.TBID0,
        MTXn=TCR_EL1.MTX0,
        HPDn=TCR_EL1.HPD0,
        EPDn=(TCR_EL1.EPD0,),
        E0PDn=(TCR_EL1.E0PD0,),
    )
    upper = RangeControls(
        ttbr=f"TTBR1_{level}",
        upper=True,
        TnSZ=TCR_EL1.T1SZ,
        TGn=TCR_EL1.TG1,
        granules=TG1_GRANULE,
        SHn=TCR_EL1.SH1,
        TBIn=TCR_EL1.TBI1,
        TBIDn=TCR_EL1.TBID1,
        MTXn=TCR_EL1.MTX1,
        HPDn=TCR_EL1.HPD1,
        EPDn=(TCR_EL1.EPD1,),
        E0PDn=(TCR_EL1.E0PD1,),
    )
    return lower, upper


def _one_range(level: str) -> tuple[RangeControls]:
    only = RangeControls(
        ttbr=f"TTBR0_{level}",
        upper=False,
        TnSZ=TCR_EL2.T0SZ,
        TGn=TCR_EL2.TG0,
        granules=TG0_GRANULE,
        SHn=TCR_EL2.SH0,
        TBIn=TCR_EL2.TBI,
        TBIDn=TCR_EL2.TBID,
        MTXn=TCR_EL2.MTX,
        HPDn=TCR_EL2.HPD,
    )
    return (only,)


def _two_levels(name: str, el: int) -> Controls:
    tcr, extended = TCR_EL1, (f"TCR2_EL{el}", TCR2)
    return Controls(name, el, True, _two_ranges(f"EL{el}"), tcr, tcr.IPS, tcr.HA, tcr.HD, tcr.DS, extended)


def _one_level(name: str, el: int, tcr: type[TCR_EL2], extended: tuple[str, type[Word]]) -> Controls:
    return Controls(name, el, False, _one_range(f"EL{el}"), tcr, tcr.PS, tcr.HA, tcr.HD, tcr.DS, extended)


EL10: Final = _two_levels("EL1&0", 1)
EL20: Final = _two_levels("EL2&0", 2)
EL2: Final = _one_level("EL2", 2, TCR_EL2, ("TCR2_EL2", TCR2))
EL3: Final = _one_level("EL3", 3, TCR_EL3, ("TCR_EL3", TCR_EL3))
_OF_REGIME: Final[Mapping[str, Controls]] = {"el2": EL2, "el2-vhe": EL20, "el3": EL3}


def of_regime(name: str) -> Controls:
    """Return the registers of the stage 1 in the regime of that name."""
    return _OF_REGIME.get(name, EL10)
